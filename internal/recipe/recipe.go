// Package recipe says how a release is built again from its source: what goes
// in, under which digest and from where, what is done with it, and which of the
// files that come out is which shipped artifact.
//
// Start with [Parse], which reads vitrine.recipe.toml, and [Recipe.Job], which
// makes of it the [Job] that an engine runs. [Gather] fetches what goes in
// into a content store. docs/spec/recipe.md specifies the file, the job and
// its digest.
//
// Promises. Everything that goes in has a digest, and nothing is kept that does
// not match it; a job digest therefore stands for the whole input of a build. A
// recipe is read strictly: what is not understood is refused with its line and
// what to do. Not promised: that the commands of a recipe are harmless. They
// run in a sandbox (package sandbox) and nowhere else.
package recipe

import (
	"time"

	"vitrine.example/digest"
)

// FileName is the name of a recipe in the root of a source tree.
const FileName = "vitrine.recipe.toml"

// Bounds of a recipe (docs/spec/recipe.md).
const (
	MaxSize    = 4 << 20 // bytes of the file
	MaxInputs  = 20_000
	MaxFrom    = 8 // places of an input
	MaxFiles   = 10_000
	MaxText    = 256 << 10 // bytes of a file that the recipe itself holds
	MaxSteps   = 100
	MaxOutputs = 1_000
	MaxWords   = 1_000   // of a command, and lines of an environment
	MaxScript  = 100_000 // bytes of all commands as the shell gets them
	MaxInput   = 16 << 30
)

// Recipe is vitrine.recipe.toml.
type Recipe struct {
	Version  int       `toml:"version"` // 1
	Clock    time.Time `toml:"clock"`   // of the build: SOURCE_DATE_EPOCH and the times of its files
	Hostname string    `toml:"hostname"`
	UID      int       `toml:"uid"`
	GID      int       `toml:"gid"`
	CPUs     int       `toml:"cpus"`
	Env      []string  `toml:"env"`   // KEY=VALUE; nothing else is inherited
	Shell    string    `toml:"shell"` // runs the steps where there are several; default /bin/sh
	Limits   Limits    `toml:"limits"`
	Inputs   []Input   `toml:"input"`
	Files    []File    `toml:"file"`
	Steps    []Step    `toml:"step"`
	Outputs  []Output  `toml:"output"`

	digest digest.Digest // of the file that was read
	at     keys          // on which line each key of it stands
}

// Input is something that goes in from outside. Exactly one of From, Source and
// Private is set.
type Input struct {
	Name       string        `toml:"name"`    // for people; unique
	From       []string      `toml:"from"`    // where it may be fetched, tried in this order
	Source     bool          `toml:"source"`  // it is the snapshot of the release's own source
	Private    string        `toml:"private"` // the vendor alone has it: what it is, and whom to ask
	SHA256     digest.Digest `toml:"sha256"`  // of a Source it may be left out
	Size       int64         `toml:"size"`    // bytes
	At         string        `toml:"at"`      // absolute path in the sandbox
	Unpack     Form          `toml:"unpack"`  // where it is an archive to be unpacked below At
	Strip      int           `toml:"strip"`   // leading path elements of its entries that are left out
	Executable bool          `toml:"executable"`
}

// Form says how an input is unpacked.
type Form string

// The forms.
const (
	AsIs        Form = ""             // a single file
	Tar         Form = "tar"          // tar, perhaps compressed by gzip, xz, bzip2 or zstd
	Zip         Form = "zip"          // zip, as of a Go module
	Deb         Form = "deb"          // the files of a Debian package
	GoToolchain Form = "go-toolchain" // zip of golang.org/toolchain, as the go command unpacks it
)

// File is a small file, a directory or a symbolic link that the recipe itself
// holds. At most one of Text and Link is set; At ends in a slash for a directory.
type File struct {
	At         string `toml:"at" json:"at"`
	Text       string `toml:"text" json:"text,omitzero"`
	Link       string `toml:"link" json:"link,omitzero"`
	Executable bool   `toml:"executable" json:"executable,omitzero"`
}

// Step is one command.
type Step struct {
	Run []string `toml:"run" json:"run"` // the first word is an absolute path
	Dir string   `toml:"dir" json:"dir"`
	Env []string `toml:"env" json:"env,omitzero"` // on top of the recipe's
}

// Output is a file that the build makes, and what it is of the release.
type Output struct {
	Path     string `toml:"path"`     // in the sandbox
	Artifact string `toml:"artifact"` // name of the shipped file
	Member   string `toml:"member"`   // path inside that file, where it is an archive that is not made as a whole
}

// Digest is that of the file that [Parse] read.
func (r *Recipe) Digest() digest.Digest { return r.digest }
