// Package artifact compares what shipped with what was rebuilt and explains the
// difference.
//
// [Compare] climbs a ladder: bytes, the decompressed stream, the entries of an
// archive, the sections of an executable, its functions, lines of text. It says on
// which rung the two agree first, names every cause and shows what remains.
//
// A cause counts only where it is proved: re-applied to the rebuilt file it gives
// the shipped bytes. So "explained" means that every byte of the shipped file
// follows from the rebuilt one and from the causes on the list, each of which is
// harmless by docs/spec/explain.md. Anything else is "different". Nothing is
// normalised in silence: what was not compared, or could not be looked into, is
// on the report.
//
// Files are streamed; nothing is written but temporary files without a name, and
// every reader has a bound.
package artifact

import (
	"errors"
	"time"

	"vitrine.example/internal/artifact/archive"
)

// Verdict is the outcome of a comparison.
type Verdict string

// The verdicts, from the best to the worst.
const (
	Identical Verdict = "identical" // the same bytes
	Explained Verdict = "explained" // every difference is a proved, harmless cause
	Different Verdict = "different" // anything else
)

// Rung is a step of the ladder.
type Rung string

// The rungs, from the highest.
const (
	RungBytes     Rung = "bytes"
	RungStream    Rung = "decompressed stream"
	RungEntries   Rung = "entries"
	RungSections  Rung = "sections"
	RungFunctions Rung = "functions"
	RungLines     Rung = "lines"
	RungNone      Rung = "none"
)

// Schema names the form of a report in JSON.
const Schema = "https://vitrine.example/explain/v1"

// Report is what a comparison found.
type Report struct {
	Schema      string       `json:"schema"`
	Verdict     Verdict      `json:"verdict"`
	Rung        Rung         `json:"rung"` // the highest on which the two agree
	Shipped     Side         `json:"shipped"`
	Rebuilt     Side         `json:"rebuilt"`
	Compared    Counts       `json:"compared"`
	Facts       []Fact       `json:"facts,omitempty"`
	Causes      []Cause      `json:"causes"`
	Differences []Difference `json:"differences"`
	Omitted     int          `json:"omitted,omitempty"` // differences beyond the bound
	Unread      []string     `json:"unread"`            // what could not be looked into, and why
	Ignored     []string     `json:"ignored"`           // what was not compared
}

// Side is one of the two files.
type Side struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// Counts say how much was compared.
type Counts struct {
	Files    int64 `json:"files"`    // files of a tree, of both sides
	Members  int64 `json:"members"`  // of all archives, of both sides
	Read     int64 `json:"read"`     // bytes of the files
	Inflated int64 `json:"inflated"` // bytes out of compressed streams
}

// Fact is something that people ask for, such as the h1 of a Go module.
type Fact struct {
	Where   string `json:"where,omitempty"`
	Name    string `json:"name"`
	Shipped string `json:"shipped"`
	Rebuilt string `json:"rebuilt"`
}

// Cause is a reason for which bytes differ without a difference in what they do.
type Cause struct {
	Name    string `json:"name"`
	Where   string `json:"where,omitempty"` // the archive or file, through its layers
	Members int    `json:"members,omitempty"`
	Example string `json:"example,omitempty"` // one of the members
	Shipped string `json:"shipped"`
	Rebuilt string `json:"rebuilt"`
	Detail  string `json:"detail,omitempty"` // in place of the two, of executables
	Proved  bool   `json:"proved"`           // re-applied, it gave the shipped bytes
	Proof   string `json:"proof"`            // how
}

// Difference is what no cause explains.
type Difference struct {
	Where   string `json:"where,omitempty"` // file or member, through its layers
	What    string `json:"what"`
	Shipped string `json:"shipped"` // empty: only the rebuilt one has it
	Rebuilt string `json:"rebuilt"` // empty: only the shipped one has it
	Hunks   []Hunk `json:"hunks,omitempty"`
}

// Hunk is a difference of a few lines, of text, bytes or instructions.
type Hunk struct {
	Title string   `json:"title"`
	Lines []string `json:"lines"`          // "  both", "- shipped", "+ rebuilt"
	More  int      `json:"more,omitempty"` // lines that differ and are not shown
}

// Options bound a comparison. Zero means the default.
type Options struct {
	Archive     archive.Limits
	Depth       int   // archives within archives; default 8
	Spool       int64 // bytes on the disk for members that differ; default 8 GiB
	Text        int64 // size up to which a text is compared by lines; default 8 MiB
	Differences int   // in the report; default 10,000
	Hunks       int   // lines of hunks for one file; default 200
	TempDir     string
	Built       time.Time // the clock of the rebuild, where it is known
}

func (o Options) complete() Options {
	o.Archive = o.Archive.Complete()
	for _, d := range []struct {
		v *int
		n int
	}{{&o.Depth, 8}, {&o.Differences, 10_000}, {&o.Hunks, 200}} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
	if o.Spool == 0 {
		o.Spool = 8 << 30
	}
	if o.Text == 0 {
		o.Text = 8 << 20
	}
	return o
}

// ErrKind says that a file cannot be compared with a directory, or that neither
// is one or the other.
var ErrKind = errors.New("not a file or a directory")
