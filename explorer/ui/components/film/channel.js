// Between a film and the curves that follow it: the step that is shown, and the one that is wanted.

const SHOWN = "vqvae-film-shown";
const WANTED = "vqvae-film-wanted";
