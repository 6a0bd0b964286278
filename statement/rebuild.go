package statement

import (
	"time"

	"vitrine.example/digest"
)

// RebuildType is the predicate type of [Rebuild] (docs/spec/rebuild.md).
const RebuildType = Prefix + "rebuild/v1"

// Outcome is how a rebuild ended.
type Outcome string

// The outcomes, from the best to the worst.
const (
	Identical Outcome = "identical" // every artifact byte for byte
	Explained Outcome = "explained" // every difference is named and proved harmless
	Different Outcome = "different" // something is not explained
	Failed    Outcome = "failed"    // there is nothing to compare
)

// outcomes orders them.
var outcomes = map[Outcome]int{Identical: 1, Explained: 2, Different: 3, Failed: 4}

// Worse reports whether o is worse than p.
func (o Outcome) Worse(p Outcome) bool { return outcomes[o] > outcomes[p] }

// Reason says why an attempt failed.
type Reason string

// The reasons. The first nine are those of the sandbox (docs/spec/sandbox.md).
const (
	ReasonExited    Reason = "exited"    // a step ended with another status than 0
	ReasonSignalled Reason = "signalled" // a step was ended by a signal
	ReasonTime      Reason = "time"      // over its time
	ReasonMemory    Reason = "memory"    // over its memory
	ReasonDisk      Reason = "disk"      // over its disk
	ReasonLog       Reason = "log"       // over its log
	ReasonOutputs   Reason = "outputs"   // an output is missing, too large, or of a kind that is refused
	ReasonCancelled Reason = "cancelled" // the operator ended it
	ReasonKilled    Reason = "killed"    // killed from outside
	ReasonRecipe    Reason = "recipe"    // there is none, or it is refused
	ReasonInputs    Reason = "inputs"    // an input cannot be had, or is not what its digest says
	ReasonArtifact  Reason = "artifact"  // a shipped artifact cannot be had
	ReasonEngine    Reason = "engine"    // no sandbox could be made
	ReasonLost      Reason = "lost"      // the worker was not heard of again
)

var reasons = []Reason{ReasonExited, ReasonSignalled, ReasonTime, ReasonMemory, ReasonDisk, ReasonLog, ReasonOutputs,
	ReasonCancelled, ReasonKilled, ReasonRecipe, ReasonInputs, ReasonArtifact, ReasonEngine, ReasonLost}

// Bounds of a rebuild (docs/spec/rebuild.md).
const (
	MaxAttempts = 32
	maxDetail   = 1024 // bytes
)

// Rebuild says what became of building a release again from its source. The
// subjects of the statement are the shipped artifacts of the release, all of
// them, in its order.
type Rebuild struct {
	Release     digest.Digest     `json:"release"` // digest of the release's envelope
	Outcome     Outcome           `json:"outcome"` // the worst of the artifacts, and that of the last attempt
	Artifacts   []RebuiltArtifact `json:"artifacts"`
	Explanation *Evidence         `json:"explanation,omitzero"` // of what differs; always where it is explained
	Recipe      *digest.Digest    `json:"recipe,omitzero"`      // absent only where there is none
	Job         *digest.Digest    `json:"job,omitzero"`         // absent only where the recipe or its inputs failed
	Engine      string            `json:"engine,omitzero"`      // of the last attempt; with Job
	Attempts    []RebuildAttempt  `json:"attempts"`             // all of them, the first one first
}

// RebuiltArtifact is one artifact of the release beside what the rebuild made.
type RebuiltArtifact struct {
	Name    string         `json:"name"`
	Shipped digest.Digest  `json:"shipped"`
	Rebuilt *digest.Digest `json:"rebuilt,omitzero"` // absent where it was not made as a whole
	Outcome Outcome        `json:"outcome"`
}

// RebuildAttempt is one try.
type RebuildAttempt struct {
	Engine   string         `json:"engine,omitzero"` // "embedded", "gvisor", …; absent where it came to none
	Started  time.Time      `json:"started"`         // UTC, whole seconds
	Finished time.Time      `json:"finished"`
	Outcome  Outcome        `json:"outcome"`
	Reason   Reason         `json:"reason,omitzero"` // of Failed, and only then
	Detail   string         `json:"detail,omitzero"` // one line for people
	Output   *digest.Digest `json:"output,omitzero"` // digest of all outputs (docs/spec/recipe.md); with any outcome but Failed
	Log      *Evidence      `json:"log,omitzero"`
}

// PredicateType returns [RebuildType].
func (r *Rebuild) PredicateType() string { return RebuildType }

// Subjects returns the subjects that a statement of r must have.
func (r *Rebuild) Subjects() []Subject {
	out := make([]Subject, len(r.Artifacts))
	for i, a := range r.Artifacts {
		out[i] = NewSubject(a.Name, a.Shipped)
	}
	return out
}

// Rebuild decodes a rebuild/v1 predicate; what it returns is valid.
func (s *Statement) Rebuild() (*Rebuild, error) { return decodeAs[*Rebuild](s, RebuildType) }

// Flaky reports whether attempts ended in more than one way: different
// outcomes, or outputs of one job that are not the same.
func (r *Rebuild) Flaky() bool {
	var out *digest.Digest
	for _, a := range r.Attempts {
		if a.Outcome != r.Outcome || out != nil && a.Output != nil && *out != *a.Output {
			return true
		}
		if a.Output != nil {
			out = a.Output
		}
	}
	return false
}
