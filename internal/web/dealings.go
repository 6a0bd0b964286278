package web

import (
	"context"
	"strings"
	"time"
)

// What a member is asked for.
const (
	ForCosigning = "to cosign this log"
	ForMirroring = "to mirror this log"
	ForLog       = "its log"
	ForContents  = "what its log names"
	ForViews     = "what it has seen"
)

// Dealing is how a member answers to one kind of request. Times are zero where
// there was none yet.
type Dealing struct {
	Member   string    `json:"member"` // origin
	For      string    `json:"for"`
	Asked    time.Time `json:"asked,omitzero"`    // last
	Answered time.Time `json:"answered,omitzero"` // last, as it should
	Size     int64     `json:"size"`              // entries that the last good answer covers
	Fault    string    `json:"fault,omitempty"`   // of the last request, for the operator alone
}

// Dealings tells how the members of the circle do, in the order of the list.
type Dealings interface {
	Dealings(ctx context.Context) ([]Dealing, error)
}

// faults are what strangers are told, by a part of what the operator is told: the
// whole may have addresses in it that are nobody's business.
var faults = []struct{ part, text string }{
	{"redirection", "answers with a redirection, which is not followed"},
	{"deadline exceeded", "does not answer in time"},
	{"timeout", "does not answer in time"},
	{"connection refused", "cannot be reached"},
	{"no such host", "cannot be reached"},
	{"dial ", "cannot be reached"},
	{"more than ", "answers with more than is read"},
	{"withheld", "withholds statements or files"},
	{"no room", "is not asked further: there is no room here"},
	{"answered ", "refuses"},
}

// Ails tells strangers what is wrong; "" where nothing is.
func (d Dealing) Ails() string {
	if d.Fault == "" {
		return ""
	}
	for _, f := range faults {
		if strings.Contains(d.Fault, f.part) {
			return f.text
		}
	}
	return "answers what does not hold, or could not be asked"
}

type apiDealing struct {
	Member   string     `json:"member" doc:"origin"`
	For      string     `json:"for" doc:"what it is asked for"`
	Asked    *time.Time `json:"asked,omitempty" doc:"last; absent: not yet"`
	Answered *time.Time `json:"answered,omitempty" doc:"last, as it should; absent: not yet"`
	Size     int64      `json:"size" doc:"entries that the last good answer covers"`
	Ails     string     `json:"ails,omitempty" doc:"what was wrong with the last one; absent: nothing"`
}

func (s *site) apiDealings(ctx context.Context) ([]apiDealing, error) {
	out := []apiDealing{}
	if s.Dealings == nil {
		return out, nil
	}
	all, err := s.Dealings.Dealings(ctx)
	for _, d := range all {
		out = append(out, apiDealing{d.Member, d.For, once(d.Asked), once(d.Answered), d.Size, d.Ails()})
	}
	return out, err
}

// once is a time as JSON has it, nil for none.
func once(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
