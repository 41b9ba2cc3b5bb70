// Joined to the module of each component that gets packed messages; the mirror of wire.py.

const ARRAY_TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int16: Int16Array, float32: Float32Array };

/** Bytes of a packed message -> its header, with each array under its name. */
function unpack(bytes) {
  const aligned = bytes.byteOffset % 4 ? bytes.slice() : bytes;
  const length = new DataView(aligned.buffer, aligned.byteOffset).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(aligned.subarray(4, 4 + length)));
  const start = aligned.byteOffset + 4 + length;
  for (const { name, dtype, shape, offset } of message.arrays) {
    const count = shape.reduce((product, side) => product * side, 1);
    message[name] = { shape, values: new ARRAY_TYPES[dtype](aligned.buffer, start + offset, count) };
  }
  return message;
}
