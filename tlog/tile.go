package tlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// TileWidth is the number of hashes or entries in a full tile (tlog-tiles).
const TileWidth = 256

// EntriesLevel is the Level of an entry bundle.
const EntriesLevel = -1

// maxTileIndex is the index of the last tile at level 0 of a tree of MaxSize.
const maxTileIndex = MaxSize/TileWidth - 1

// Tile names a tile of hashes or an entry bundle (tlog-tiles, sections "Merkle
// Tree" and "Log entries").
type Tile struct {
	Level int   // 0 to 63, or EntriesLevel for a bundle of entries
	Index int64 // within the level, from 0
	Width int   // 1 to 256; below 256 the tile is partial
}

// ParseTilePath reads "tile/<L>/<N>[.p/<W>]" or "tile/entries/<N>[.p/<W>]",
// strictly: what it accepts, [Tile.Path] gives back. There is no slash in front.
func ParseTilePath(path string) (Tile, error) {
	t, err := parseTilePath(path)
	if err != nil {
		return Tile{}, fmt.Errorf("tile path %.80q: %w", path, err)
	}
	return t, nil
}

func parseTilePath(path string) (Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return Tile{}, errors.New(`does not begin with "tile/"`)
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return Tile{}, errors.New("no index")
	}
	t := Tile{Level: EntriesLevel, Width: TileWidth}
	if level != "entries" {
		n, err := parseDecimal(level)
		if err != nil {
			return Tile{}, fmt.Errorf("level: %w", err)
		}
		if n > 63 {
			return Tile{}, fmt.Errorf("level %d is above 63", n)
		}
		t.Level = int(n)
	}
	index, width, partial := strings.Cut(rest, ".p/")
	if partial {
		n, err := parseDecimal(width)
		if err != nil {
			return Tile{}, fmt.Errorf("width: %w", err)
		}
		if n < 1 || n >= TileWidth {
			return Tile{}, fmt.Errorf("width %d is not within 1 and 255", n)
		}
		t.Width = int(n)
	}
	var err error
	t.Index, err = parseTileIndex(index)
	return t, err
}

// parseTileIndex reads zero-padded elements of three digits, all but the last
// with an "x" in front, without a leading element of zeros.
func parseTileIndex(s string) (int64, error) {
	elements := strings.Split(s, "/")
	if len(elements) > 6 { // 10^18 > maxTileIndex
		return 0, errors.New("index: more than 6 elements")
	}
	var n int64
	for i, e := range elements {
		digits := e
		if i < len(elements)-1 {
			var ok bool
			if digits, ok = strings.CutPrefix(e, "x"); !ok {
				return 0, fmt.Errorf("index: element %.20q has no x in front", e)
			}
		}
		if len(digits) != 3 {
			return 0, fmt.Errorf("index: element %.20q does not have 3 digits", e)
		}
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return 0, fmt.Errorf("index: element %.20q: %q is not a digit", e, c)
			}
			n = n*10 + int64(c-'0')
		}
		if i == 0 && len(elements) > 1 && n == 0 {
			return 0, errors.New("index: leading element of zeros")
		}
	}
	if n > maxTileIndex {
		return 0, fmt.Errorf("index %d is above that of a tree of 2^62 entries", n)
	}
	return n, nil
}

// Path returns the path of the tile, without a slash in front. It is
// meaningful only where the fields are within their bounds.
func (t Tile) Path() string {
	index := fmt.Sprintf("%03d", t.Index%1000)
	for n := t.Index / 1000; n > 0; n /= 1000 {
		index = fmt.Sprintf("x%03d/%s", n%1000, index)
	}
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	path := "tile/" + level + "/" + index
	if t.Width != TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}
