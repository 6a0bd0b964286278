package statement

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"vitrine.example/digest"
)

// WithheldType is the predicate type of [Withheld] (docs/spec/withheld.md).
const WithheldType = Prefix + "withheld/v1"

// What an item of a [Withheld] is.
const (
	ItemStatement = "statement" // the envelope behind an entry
	ItemContent   = "content"   // public content that a release names
)

// Bounds of a report (docs/spec/withheld.md).
const (
	MaxWithheld       = 256 // items
	MaxWithheldPlaces = 8   // of an item
)

// Withheld is what a centre says of what a log names and nobody gave it by its
// deadline, or gave it later. It is no proof: it says who asked whom, and when.
// The subjects of its statement are the items.
type Withheld struct {
	Origin string         `json:"origin"` // of the log that names the items
	At     time.Time      `json:"at"`     // UTC, whole seconds
	Items  []WithheldItem `json:"items"`
}

// WithheldItem is one of them.
type WithheldItem struct {
	Kind    string          `json:"kind"`             // ItemStatement or ItemContent
	Index   int64           `json:"index"`            // of the entry that names it
	SHA256  digest.Digest   `json:"sha256"`           // of a statement the leaf hash of its entry, else of the content
	Since   time.Time       `json:"since"`            // first asked for
	Asked   int64           `json:"asked"`            // how often
	From    []WithheldPlace `json:"from"`             // whom, the log's own node first
	Arrived time.Time       `json:"arrived,omitzero"` // it came after it was reported
}

// WithheldPlace is where it was asked for.
type WithheldPlace struct {
	URL    string `json:"url"`
	Asked  int64  `json:"asked"`
	Answer string `json:"answer"` // the last one: absent, refused, wrong, unreachable, given
}

// answers are the words of WithheldPlace.Answer.
var answers = map[string]bool{"absent": true, "refused": true, "wrong": true, "unreachable": true, "given": true}

// PredicateType returns [WithheldType].
func (w *Withheld) PredicateType() string { return WithheldType }

// Subjects returns the subjects that a statement of w must have.
func (w *Withheld) Subjects() []Subject {
	out := make([]Subject, len(w.Items))
	for i := range w.Items {
		out[i] = NewSubject(w.Items[i].name(w.Origin), w.Items[i].SHA256)
	}
	return out
}

// name is that of the subject: the entry, and of content its digest too.
func (i *WithheldItem) name(origin string) string {
	n := origin + "/" + strconv.FormatInt(i.Index, 10)
	if i.Kind == ItemContent {
		n += "/" + i.SHA256.String()
	}
	return n
}

// Withheld decodes a withheld/v1 predicate; what it returns is valid.
func (s *Statement) Withheld() (*Withheld, error) { return decodeAs[*Withheld](s, WithheldType) }

// Validate checks w against the subjects of its statement.
func (w *Withheld) Validate(subject []Subject) error {
	if err := checkOrigin(w.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	if err := checkTime(w.At); err != nil {
		return fmt.Errorf("at: %w", err)
	}
	if len(w.Items) == 0 || len(w.Items) > MaxWithheld {
		return fmt.Errorf("items: %d of them, want 1 to %d", len(w.Items), MaxWithheld)
	}
	seen := map[string]bool{}
	for i := range w.Items {
		it := &w.Items[i]
		if err := it.check(w.At); err != nil {
			return fmt.Errorf("items/%d: %w", i, err)
		}
		if n := it.name(w.Origin); seen[n] {
			return fmt.Errorf("items/%d: %s twice", i, n)
		} else {
			seen[n] = true
		}
	}
	return sameSubjects(subject, w.Subjects())
}

func (i *WithheldItem) check(at time.Time) error {
	switch {
	case i.Kind != ItemStatement && i.Kind != ItemContent:
		return fmt.Errorf("kind: %.40q is neither %s nor %s", i.Kind, ItemStatement, ItemContent)
	case i.Index < 0 || i.Index > maxInteger:
		return fmt.Errorf("index: %d, want 0 or more", i.Index)
	case i.SHA256.IsZero():
		return errNoDigest("sha256")
	case i.Asked < 1 || i.Asked > maxInteger:
		return fmt.Errorf("asked: %d, want 1 or more", i.Asked)
	}
	if err := checkTime(i.Since); err != nil {
		return fmt.Errorf("since: %w", err)
	}
	if i.Since.After(at) {
		return errors.New("since: after the report itself")
	}
	if !i.Arrived.IsZero() {
		if err := checkTime(i.Arrived); err != nil {
			return fmt.Errorf("arrived: %w", err)
		}
		if i.Arrived.Before(i.Since) || i.Arrived.After(at) {
			return errors.New("arrived: not between since and the report itself")
		}
	}
	return checkPlaces(i.From)
}

func checkPlaces(from []WithheldPlace) error {
	if len(from) == 0 || len(from) > MaxWithheldPlaces {
		return fmt.Errorf("from: %d of them, want 1 to %d", len(from), MaxWithheldPlaces)
	}
	for i, p := range from {
		switch {
		case !isPageURL(p.URL) || len(p.URL) > 512:
			return fmt.Errorf("from/%d/url: %.80q, want https://host or http://host", i, p.URL)
		case p.Asked < 1 || p.Asked > maxInteger:
			return fmt.Errorf("from/%d/asked: %d, want 1 or more", i, p.Asked)
		case !answers[p.Answer]:
			return fmt.Errorf("from/%d/answer: %.40q, want absent, refused, wrong, unreachable or given", i, p.Answer)
		}
	}
	return nil
}
