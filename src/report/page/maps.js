// Class maps: unpacked from the page's data, and painted in the colours of the classes or as errors.

/** Unpack a class map: base64 of a zlib stream with one byte a pixel. */
async function unpack(text) {
  if (!text) return null;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return a colour as [red, green, blue]; classes without one get grey. */
function rgb(color) {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color ?? "");
  return match ? match.slice(1).map((part) => parseInt(part, 16)) : [128, 128, 128];
}

const STRIPE = pixelOf([130, 130, 130]), GAP = pixelOf([0, 0, 0]), WRONG = pixelOf([255, 176, 0]);

/** Return an opaque colour as the 32-bit value of a canvas pixel, in the byte order of this machine. */
function pixelOf(color) {
  return new Uint32Array(new Uint8Array([...color, 255]).buffer)[0];
}

/** Paint a canvas pixel by pixel; unlabelled pixels are hatched, and pixels with the value 0 are transparent. */
function paintPixels(canvas, hatched, pixel) {
  const { width, height } = canvas, picture = new ImageData(width, height), pixels = new Uint32Array(picture.data.buffer);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) pixels[i] = hatched(i) ? ((x + y) % 10 < 2 ? STRIPE : GAP) : pixel(i);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Paint a class map on a canvas of its size; `only` leaves all other classes out. */
function paintClasses(canvas, ids, colors, ignored, only = null) {
  const table = Array.from({ length: 256 }, (_, id) => (only === null || id === only ? pixelOf(rgb(colors[id])) : 0));
  paintPixels(canvas, (i) => ids[i] === ignored, (i) => table[ids[i]]);
}

/** Paint the errors of a prediction; correct pixels are transparent. `only` restricts it to the errors of one class. */
function paintErrors(canvas, truth, prediction, ignored, only = null) {
  const concerns = (i) => only === null || truth[i] === only || prediction[i] === only;
  paintPixels(canvas, (i) => truth[i] === ignored, (i) => (truth[i] !== prediction[i] && concerns(i) ? WRONG : 0));
}

/** Return the picture of a record: from the page, or from the script beside it. */
async function fetchPicture(record) {
  const payload = record.element ? report.read(record.element) : await load(record.script);
  if (!payload) throw new Error("the picture is not there");
  const [truth, prediction] = await Promise.all([unpack(payload.truth), unpack(payload.prediction)]);
  return { ...payload, truth, prediction };
}
