// How two pictures differ: a figure, and a map that says its scale.

/** Pictures [H, W, 3] in levels of 255 -> their mean absolute difference in levels, and the PSNR between them in dB. */
function differenceOf(one, other) {
  const [a, b] = [one.values, other.values];
  let [absolute, squared] = [0, 0];
  for (let i = 0; i < a.length; i += 1) {
    const difference = a[i] - b[i];
    absolute += Math.abs(difference);
    squared += difference * difference;
  }
  return { mean: absolute / a.length, psnr: -10 * Math.log10(squared / a.length / 255 ** 2) };
}

/** The difference at which a map ends, in levels of 255: what is larger looks the same. */
function fullDifference(signed, gain) {
  return (signed ? 127 : 255) / gain;
}

/**
 * Pictures [H, W, 3] -> a map [H, W, 3]. Signed: one minus the other, channel by channel, `gain` times as large on
 * middle grey, which is equal. Else the mean size over the channels, `gain` times as large, dark to bright.
 */
function differenceMap(one, other, { signed, gain }) {
  const [a, b] = [one.values, other.values];
  const values = new Uint8ClampedArray(a.length); // it rounds and clamps
  for (let i = 0; i < a.length; i += 3) {
    if (signed) {
      for (let channel = i; channel < i + 3; channel += 1) values[channel] = 128 + gain * (a[channel] - b[channel]);
    } else {
      const sum = Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]);
      values.set(ERROR_RAMP[Math.min(255, Math.round((gain * sum) / 3))], i);
    }
  }
  return { shape: one.shape, values };
}
