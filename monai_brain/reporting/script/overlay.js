// Images of cases, and the maps laid over them: a map is side x side bytes, 0 for the least evidence.
const pictures = (() => {
  const stops = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
  const strength = 0.75;

  const colour = (share) => {
    const place = share * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((value, channel) => value + (stops[low + 1][channel] - value) * (place - low));
  };
  const table = Array.from({ length: 256 }, (_, value) => colour(value / 255));

  const canvas = (cells, side) => {
    const made = document.createElement("canvas");
    made.width = made.height = side;
    const bytes = atob(cells);
    const context = made.getContext("2d");
    const image = context.createImageData(side, side);
    for (let at = 0; at < bytes.length; at += 1) {
      const value = bytes.charCodeAt(at);
      image.data.set([...table[value], 255 * strength * (value / 255)], 4 * at);
    }
    context.putImageData(image, 0, 0);
    return made;
  };

  // What stands in a cell: the image, and the map where it is there and wanted.
  const draw = (data, row, overlay) => {
    const box = document.createElement("span");
    const uri = data.pictures[data.picture[row]];
    if (uri === undefined) return box;
    box.className = "picture";
    const image = document.createElement("img");
    image.decoding = "async";
    image.alt = `image of ${data.case[row]}`;
    image.src = uri;
    box.append(image);
    if (overlay && data.maps[row] !== undefined) {
      image.alt += ", with the evidence for its named class laid over it";
      box.append(canvas(data.maps[row], data.side));
    } else if (overlay) {
      const none = document.createElement("span");
      none.className = "none";
      none.textContent = "no map";
      box.append(none);
    }
    return box;
  };
  return { draw };
})();
