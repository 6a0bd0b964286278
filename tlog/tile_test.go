package tlog

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]Tile{
		"tile/0/000":                          {0, 0, 256},
		"tile/0/x001/x234/067":                {0, 1234067, 256}, // the example of tlog-tiles
		"tile/0/x001/x234/067.p/1":            {0, 1234067, 1},
		"tile/63/999.p/255":                   {63, 999, 255},
		"tile/entries/x001/000":               {EntriesLevel, 1000, 256},
		"tile/entries/007.p/10":               {EntriesLevel, 7, 10},
		"tile/1/x018/x014/x398/x509/x481/983": {1, MaxSize/256 - 1, 256},
	} {
		got, err := ParseTilePath(path)
		if err != nil || got != want || got.Path() != path {
			t.Errorf("ParseTilePath(%q) = %v, %v, and %q again; want %v", path, got, err, got.Path(), want)
		}
	}
}

func TestTilePathRefused(t *testing.T) {
	for path, reason := range map[string]string{
		"":                                    `does not begin with "tile/"`,
		"/tile/0/000":                         `does not begin with "tile/"`,
		"tile":                                `does not begin with "tile/"`,
		"tile/":                               "no index",
		"tile/0":                              "no index",
		"tile/0/":                             "3 digits",
		"tile//000":                           "no digits",
		"tile/00/000":                         "leading zero",
		"tile/01/000":                         "leading zero",
		"tile/+1/000":                         "not a digit",
		"tile/-1/000":                         "not a digit",
		"tile/64/000":                         "above 63",
		"tile/99999999999999999999/00":        "above 2^63-1",
		"tile/data/000":                       "not a digit",
		"tile/0/0":                            "3 digits",
		"tile/0/0000":                         "3 digits",
		"tile/0/x000":                         "3 digits",
		"tile/0/x000/000":                     "leading element",
		"tile/0/001/000":                      "no x",
		"tile/0/x001/x000":                    "3 digits",
		"tile/0/x0o1/000":                     "not a digit",
		"tile/0/x001//000":                    "no x",
		"tile/0/000/":                         "no x",
		"tile/0/000.p":                        "3 digits",
		"tile/0/000.p/":                       "no digits",
		"tile/0/000.p/0":                      "within 1 and 255",
		"tile/0/000.p/256":                    "within 1 and 255",
		"tile/0/000.p/01":                     "leading zero",
		"tile/0/000.p/1/":                     "not a digit",
		"tile/0/000.p/1.p/1":                  "not a digit",
		"tile/0/../0/000":                     "no x",
		"tile/0/x018/x014/x398/x509/x481/984": "2^62",
		"tile/0/" + strings.Repeat("x001/", 6) + "000": "6 elements",
		"tile/0/00\u0660": "3 digits",
	} {
		got, err := ParseTilePath(path)
		if err == nil || !strings.Contains(err.Error(), reason) || got != (Tile{}) {
			t.Errorf("ParseTilePath(%q) = %v, %v; want an error with %q", path, got, err, reason)
		}
	}
}

func TestTilePathLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Tile{
			Level: rapid.IntRange(EntriesLevel, 63).Draw(t, "level"),
			Index: rapid.Int64Range(0, math.MaxInt64>>rapid.IntRange(9, 62).Draw(t, "shift")).Draw(t, "index"),
			Width: rapid.IntRange(1, TileWidth).Draw(t, "width"),
		}
		if got, err := ParseTilePath(want.Path()); err != nil || got != want {
			t.Fatalf("%q: got %v, %v, want %v", want.Path(), got, err, want)
		}
	})
}
