// Dots into pixels. A canvas path for each of a quarter of a million dots takes seconds; this takes some hundredths.

/**
 * Draw dots over what is there. One dot: its middle (x, y) and its radius in pixels, [red, green, blue] from `colours`
 * at 3 × its number, its opacity, and the width of its line: 0 for a full dot. Edges are smooth to a part of a pixel.
 */
class Raster {
  /** rim: what the rims of full dots are mixed with, see `rimOn`. */
  constructor(width, height, rim) {
    this.rim = rim;
    this.image = new ImageData(width, height);
    this.width = width;
    this.height = height;
  }

  dot(x, y, radius, colours, number, opacity, line) {
    const { width, height } = this;
    const reach = radius + 1;
    if (x < -reach || y < -reach || x > width + reach || y > height + reach) return;
    const [left, right] = [Math.max(0, Math.floor(x - reach)), Math.min(width - 1, Math.ceil(x + reach))];
    const [top, bottom] = [Math.max(0, Math.floor(y - reach)), Math.min(height - 1, Math.ceil(y + reach))];
    const [red, green, blue] = [colours[3 * number], colours[3 * number + 1], colours[3 * number + 2]];
    const { data } = this.image;
    for (let row = top; row <= bottom; row += 1) {
      for (let column = left; column <= right; column += 1) {
        const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        let cover = radius + 0.5 - distance;
        if (cover <= 0) continue;
        if (cover > 1) cover = 1;
        if (line) cover = Math.min(cover, distance - radius + line + 0.5);
        if (cover <= 0) continue;
        const rim = line ? 0 : this.rim.share * clamp(distance - radius + 1.5, 0, 1);
        const over = cover * opacity;
        const at = 4 * (row * width + column);
        const below = (data[at + 3] / 255) * (1 - over);
        const alpha = over + below;
        data[at] = (mixed(red, rim, this.rim.grey) * over + data[at] * below) / alpha;
        data[at + 1] = (mixed(green, rim, this.rim.grey) * over + data[at + 1] * below) / alpha;
        data[at + 2] = (mixed(blue, rim, this.rim.grey) * over + data[at + 2] * below) / alpha;
        data[at + 3] = 255 * alpha;
      }
    }
  }
}

function mixed(channel, rim, grey) {
  return channel * (1 - rim) + grey * rim;
}

/** The rim of a full dot: darker on a light ground and lighter on a dark one, so that a dot like it shows on it, too. */
function rimOn(element) {
  const [red, green, blue] = getComputedStyle(element).color.match(/[\d.]+/g).map(Number); // of the text
  return 0.3 * red + 0.59 * green + 0.11 * blue > 128 ? { grey: 205, share: 0.5 } : { grey: 60, share: 0.3 };
}
