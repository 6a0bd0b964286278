package gossip

import (
	"encoding/json"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/tlog"
)

// MaxIndex is how much evidence an index may list.
const MaxIndex = 8192

// maxReason is how many bytes a reason may have.
const maxReason = 1000

// index is the answer to GET /forks/, and views that to GET /gossip/views
// (docs/spec/gossip.md).
type index struct {
	Forks []Listed `json:"forks"`
}

// Listed is evidence that a node says it keeps.
type Listed struct {
	Digest   digest.Digest `json:"digest"`
	Origin   string        `json:"origin"`
	Kind     tlog.ForkKind `json:"kind"`
	Found    time.Time     `json:"found"`
	Accepted time.Time     `json:"accepted,omitzero"` // by the operator of that node
	Reason   string        `json:"reason,omitzero"`
}

type views struct {
	Views []string `json:"views"` // signed checkpoints
}

// limits are those of both answers.
var limits = strictjson.Limits{Size: maxBody, Depth: 3}

// ParseIndex reads an index of evidence. Nothing that it says is verified.
func ParseIndex(b []byte) ([]Listed, error) {
	var x index
	if err := strictjson.Unmarshal(b, &x, limits); err != nil {
		return nil, err
	}
	if len(x.Forks) > MaxIndex {
		return nil, fmt.Errorf("%d pieces of evidence, want at most %d", len(x.Forks), MaxIndex)
	}
	for i := range x.Forks {
		if err := x.Forks[i].check(); err != nil {
			return nil, fmt.Errorf("forks/%d: %w", i, err)
		}
	}
	return x.Forks, nil
}

func (l *Listed) check() error {
	if l.Digest.IsZero() {
		return fmt.Errorf("digest: missing")
	}
	if err := (tlog.Checkpoint{Origin: l.Origin, Root: tlog.EmptyRoot()}).Validate(); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	switch l.Kind {
	case tlog.ForkSize, tlog.ForkGrowth, tlog.ForkEntry:
	default:
		return fmt.Errorf("kind: %.40q is not known", string(l.Kind))
	}
	if l.Found.IsZero() {
		return fmt.Errorf("found: missing")
	}
	if (l.Reason == "") != l.Accepted.IsZero() || len(l.Reason) > maxReason {
		return fmt.Errorf("reason: want 1 to %d bytes where the evidence is accepted, and none where it is not", maxReason)
	}
	return nil
}

// ParseViews reads what a member has seen. No signature is verified.
func ParseViews(b []byte) ([]*tlog.SignedCheckpoint, error) {
	var v views
	if err := strictjson.Unmarshal(b, &v, limits); err != nil {
		return nil, err
	}
	if len(v.Views) > MaxViews {
		return nil, fmt.Errorf("%d views, want at most %d", len(v.Views), MaxViews)
	}
	out := make([]*tlog.SignedCheckpoint, 0, len(v.Views))
	for i, text := range v.Views {
		c, err := tlog.ParseCheckpoint([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("views/%d: %w", i, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// formatIndex writes the index of what is kept, the newest MaxIndex.
func formatIndex(kept []Kept) ([]byte, error) {
	x := index{Forks: []Listed{}}
	for _, k := range kept[max(0, len(kept)-MaxIndex):] {
		x.Forks = append(x.Forks, Listed{
			Digest: k.Digest, Origin: k.Origin, Kind: k.Kind, Reason: k.Reason,
			Found: k.Found.Truncate(time.Second), Accepted: k.Accepted.Truncate(time.Second),
		})
	}
	return json.Marshal(x)
}

// formatViews writes as many checkpoints as a reader takes.
func formatViews(all []*tlog.SignedCheckpoint) ([]byte, error) {
	v := views{Views: []string{}}
	room := maxBody - 64
	for _, c := range all {
		text := string(c.Marshal())
		quoted, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		if room -= len(quoted) + 1; room < 0 || len(v.Views) == MaxViews {
			break
		}
		v.Views = append(v.Views, text)
	}
	return json.Marshal(v)
}
