// Package rebuild builds a release again and says what came of it.
//
// A [Task] is what is to be built; [Runner.Run] builds it once, in a sandbox,
// and gives an [Attempt]; [Judge] compares what came out with what was shipped
// and gives a [Result]; [Result.Statement] and [Provenance] are what a centre
// then says. Who has tasks queued, leased and tried again builds on these
// types; a person at a terminal calls them one after the other.
//
// Promises. Outputs are hashed by the sandbox after it is dead, and what is
// compared is those hashes. Identical means the same bytes and nothing less.
// Explained means that an [Explainer] proved every difference harmless, and its
// proof is kept. An attempt that fails says why in one of a few words
// (statement.Reason), and is kept like any other.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

// Task is one build: what a worker gets and needs, besides the content that
// the job names ([recipe.Job.Needs]).
type Task struct {
	Job    *recipe.Job   `json:"job,omitzero"`
	Limits recipe.Limits `json:"limits"`
}

// Order is a release that is to be rebuilt.
type Order struct {
	Release digest.Digest   // digest of the release's envelope; zero where a person names a file
	Recipe  digest.Digest   // of the recipe's file
	Shipped []Shipped       // the artifacts, in the release's order
	Outputs []recipe.Output // which output is which artifact
	Private []digest.Digest // inputs that the recipe calls private
	Task    Task
}

// ErrCopied is the error of a recipe to which a shipped file goes in as it is.
var ErrCopied = errors.New("to copy a file is not to build it")

// Check refuses an order whose job is given what it is to make. It cannot see what
// lies in another form in an input: who trusts a rebuild trusts that somebody reads
// the recipe.
func (o *Order) Check() error {
	if o.Task.Job == nil {
		return nil
	}
	in := map[digest.Digest]bool{}
	for _, c := range o.Task.Job.Needs() {
		in[c.SHA256] = true
	}
	for _, s := range o.Shipped {
		if in[s.SHA256] {
			return fmt.Errorf("the recipe takes the shipped %s (%s) as an input: %w", s.Name, s.SHA256, ErrCopied)
		}
	}
	return nil
}

// Shipped is an artifact of a release.
type Shipped struct {
	Name   string        `json:"name"`
	SHA256 digest.Digest `json:"sha256"`
	Size   int64         `json:"size"`
}

// Attempt is one try to run a task.
type Attempt struct {
	Engine   string           `json:"engine,omitzero"`
	Started  time.Time        `json:"started"`  // UTC, whole seconds
	Finished time.Time        `json:"finished"` // UTC, whole seconds
	Reason   statement.Reason `json:"reason,omitzero"`
	Detail   string           `json:"detail,omitzero"` // one line
	Exit     int              `json:"exit"`
	Outputs  []Output         `json:"outputs,omitzero"` // sorted by path
	Output   digest.Digest    `json:"output,omitzero"`  // of Outputs; see OutputDigest
	Usage    Usage            `json:"usage"`
}

// OK reports whether the attempt made all outputs.
func (a *Attempt) OK() bool { return a.Reason == "" }

// Output is one file, directory or link that an attempt made.
type Output struct {
	Path   string         `json:"path"` // in the sandbox
	Mode   uint32         `json:"mode"` // permission bits with set-uid, set-gid and sticky, as in POSIX
	Type   string         `json:"type"` // file, directory or link
	Size   int64          `json:"size,omitzero"`
	SHA256 *digest.Digest `json:"sha256,omitzero"` // of a file
	Link   string         `json:"link,omitzero"`
}

// Usage is what an attempt took.
type Usage struct {
	Wall   int64 `json:"wall"`   // milliseconds
	CPU    int64 `json:"cpu"`    // milliseconds of all processes together
	Memory int64 `json:"memory"` // bytes at most
	Disk   int64 `json:"disk"`   // bytes at the end
}

// Store is where the inputs of a job are; *content.Store is one. A worker that
// has no store of its own fetches from its node's.
type Store interface {
	// Open gives content that is checked against its digest while it is read.
	Open(ctx context.Context, d digest.Digest) (io.ReadCloser, content.Info, error)
}

// Runner runs tasks.
type Runner struct {
	Engine sandbox.Engine
	Store  Store
	Now    func() time.Time
	Dir    string // for temporary files; they are removed
	// Progress, where not nil, is told what is being done and how far it is;
	// total is -1 where it is not known.
	Progress func(stage string, done, total int64)
}

// The stages that Progress is told.
const (
	StageInputs  = "rebuild-inputs"
	StageRun     = "rebuild-run"
	StageCompare = "rebuild-compare"
)

// Explainer proves that what differs between two files is harmless. The package
// that looks inside files implements it; without one nothing is explained.
type Explainer interface {
	// Explain compares the shipped file with the rebuilt one. proved is true only
	// where every difference has a cause, and every cause was proved by applying it
	// again to the rebuilt file. report is one JSON object that says what was
	// compared and found; it is kept and published.
	Explain(ctx context.Context, shipped, rebuilt File) (report []byte, proved bool, err error)
}

// File is a file on this machine that is looked into.
type File struct {
	Name   string // of the artifact
	Path   string
	SHA256 digest.Digest
	Size   int64
	Built  time.Time // clock of the job that made it; zero of a shipped file
}

// Result is what one attempt came to.
type Result struct {
	Outcome   statement.Outcome           `json:"outcome"`
	Artifacts []statement.RebuiltArtifact `json:"artifacts"`
	// Explanation is the report on what differs (docs/spec/rebuild.md,
	// "Explanation"); nil where nothing does.
	Explanation []byte `json:"-"`
}

// ExplanationType is the media type of an explanation.
const ExplanationType = "application/vnd.vitrine.explanation+json"

// LogType is the media type of an attempt's log.
const LogType = "text/plain"

// Errors that callers tell apart.
var (
	ErrInputs = errors.New("an input cannot be had") // try again when it can
	ErrEngine = errors.New("no sandbox could be made")
)
