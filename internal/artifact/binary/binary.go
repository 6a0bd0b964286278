// Package binary compares two executables and says how they differ, down to
// the functions, and which differences are explained.
//
// [Compare] reads ELF, PE and Mach-O files (thin and fat). It climbs the ladder
// bytes → sections → functions → lines and names the highest rung on which the
// two agree. In code, addresses are resolved to what they name before they are
// compared, so that code which only moved counts as equal.
//
// A cause (a build id, kept symbols, a signature) is proved by applying it to
// the rebuilt file. [Result.Explained] is true only if the rebuilt file, with
// all causes applied, is the shipped file byte for byte: it never rests on the
// comparison of functions, which is a report for people. Every byte that no
// proved cause covers belongs to a difference that the result names.
//
// docs/spec/explain-binary.md lists the causes and their rules.
package binary

import (
	"errors"
	"io"
	"time"
)

// ErrFormat says that a file is no executable of a kind that is known, or not a
// well-formed one.
var ErrFormat = errors.New("not a well-formed executable")

// ErrTooLarge says that the two files need more memory than the options allow.
var ErrTooLarge = errors.New("too large to compare as executables")

// File is one of the two files. ReadAt may be called from several goroutines.
type File struct {
	io.ReaderAt
	Size int64
	Name string // for errors and hunks
}

// The rungs of the ladder, the highest first.
const (
	RungBytes     = "bytes"     // the same file
	RungSections  = "sections"  // what is loaded when the program runs is the same
	RungFunctions = "functions" // the same functions; data differs
	RungLines     = "lines"     // functions differ, and come from the same lines of the same files
	RungNone      = ""          // none
)

// Options bounds a comparison; a zero field means the package's bound.
type Options struct {
	Hunks     int       // hunks shown
	HunkLines int       // lines of a hunk
	Items     int       // entries of each list in the result; what is more is counted
	Memory    int64     // bytes of both files that are held at once for the comparison of functions
	Workers   int       // goroutines; GOMAXPROCS
	Built     time.Time // the clock of the rebuild, if it is known: then dates made from it are a cause
}

// Bounds where [Options] says nothing else.
const (
	DefaultHunks     = 3
	DefaultHunkLines = 8 // so that a report fits a screen
	DefaultItems     = 64
	DefaultMemory    = 256 << 20
)

// Result is what a comparison of a (shipped) with b (rebuilt) found.
type Result struct {
	Format    string // "elf", "pe", "mach-o", "mach-o fat"
	Go        bool   // a Go program: functions have names even when it is stripped
	Arch      string // "amd64", "arm64", …
	Rung      string // the highest rung on which the two agree
	Explained bool   // b with all causes applied is a, byte for byte

	Causes    []Cause
	Sections  []Section  // parts of the file that differ
	Functions []Function // functions that differ, are only in a, or only in b
	Data      []Data     // places outside code that differ and are not only moved
	Hunks     []Hunk     // bounded by Options

	Counts Counts
	Notes  []string // what was not compared or ignored, and why
}

// Cause is a known reason for a difference.
type Cause struct {
	Name   string // "go build id", "gnu build-id", …: docs/spec/explain-binary.md has all
	Where  string // section, load command or header field
	Detail string // what a has and what b has
	Proved bool   // applied to b, it gives the bytes of a in all that it covers
}

// Section is a part of the file: a section, header or gap.
type Section struct {
	Name         string
	A, B         int64  // bytes in each; -1: not there
	Bytes        int64  // bytes that differ, counted from the start of each; where sizes differ also the rest
	First        int64  // offset in the section of the first that differs
	Kind         string // "code", "data", "zero", "not loaded", "header", "gap"
	Moved        bool   // after addresses were resolved, nothing in it differs
	Cause        string // the proved cause that covers all of it
	AOff, BOff   int64  // where it lies in each file
	AAddr, BAddr uint64 // where it is loaded
}

// Function is a function that differs.
type Function struct {
	Name  string
	Kind  string // "changed", "only in a", "only in b", "tables" (same code, other unwinding or line tables)
	A, B  Span
	Lines string // file:line-line, if the file tells
	Why   string // the first difference, in one line
}

// Span is a range of addresses.
type Span struct{ Addr, Size uint64 }

// Data is a place outside code that differs.
type Data struct {
	Section string
	Off     int64    // in the section of a
	Len     int64    // bytes of a
	Symbol  string   // what lies there, if it is known
	Users   []string // functions that refer to it, bounded
	A, B    string   // what is there, quoted and bounded
}

// Hunk is a difference of a few lines.
type Hunk struct {
	Title string   // a function or a place
	Lines []string // "  same", "- only in a", "+ only in b"
	More  int      // lines that differ and are not shown
}

// Counts says how much was compared.
type Counts struct {
	FunctionsA, FunctionsB int
	Changed, OnlyA, OnlyB  int
	Tables                 int   // functions of which only tables differ
	Data                   int   // places outside code
	Bytes                  int64 // bytes that differ at the same offset, and the rest of the longer file
	Residue                int64 // bytes that differ after all causes were applied
}
