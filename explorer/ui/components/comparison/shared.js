// Between the frame of a comparison and what feeds its columns: they are components of their own, and either may be
// there first.

const FED = "vqvae-column-fed";
const FEEDS = (globalThis[Symbol.for("vqvae-explorer:feeds")] ??= new Map()); // the newest message of each, unpacked
