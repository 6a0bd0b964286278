package witness

import (
	"bytes"
	"context"
	"fmt"

	"vitrine.example/internal/strictjson"
)

// shownLogs is how many logs the about page lists.
const shownLogs = 500

// description is what /witness.v0.json holds, with the names that sunlight gives
// them.
type description struct {
	Name       string   `json:"name"`
	Submission string   `json:"submission_url,omitzero"` // ends in a slash
	Monitoring string   `json:"monitoring_url,omitzero"`
	Keys       []string `json:"verifier_keys"`
	Software   software `json:"software"`
}

type software struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (w *Witness) vkeys() []string {
	var out []string
	for _, v := range w.Verifiers() {
		out = append(out, v.String())
	}
	return out
}

func (w *Witness) aboutJSON(context.Context, []byte) ([]byte, error) {
	b, err := strictjson.Canonical(description{
		Name: w.Name(), Submission: w.o.Submission, Monitoring: w.o.Monitoring,
		Keys: w.vkeys(), Software: software{"vitrine", w.o.Version},
	})
	return append(b, '\n'), err
}

// about is a page for people, in plain text: what to configure, and which logs
// are known.
func (w *Witness) about(ctx context.Context, _ []byte) ([]byte, error) {
	logs, err := w.List(ctx, "", shownLogs+1)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Witness %s\n\nCosigns the checkpoints of transparency logs as c2sp.org/tlog-witness says.\n\nVerifier keys:\n", w.Name())
	for _, k := range w.vkeys() {
		fmt.Fprintf(&b, "  %s\n", k)
	}
	if w.o.Submission != "" {
		fmt.Fprintf(&b, "\nSubmission prefix: %s\nMonitoring prefix: %s\n", w.o.Submission, w.o.Monitoring)
	}
	fmt.Fprintf(&b, "\nA request has at most %d bytes. A log is cosigned at most %g times a second, or as agreed.\n",
		w.o.Limits.Body, w.o.Limits.PerSecond)
	if w.o.About != "" {
		fmt.Fprintf(&b, "\n%s\n", w.o.About)
	}
	fmt.Fprint(&b, "\nLogs:\n")
	for i, l := range logs {
		if i == shownLogs {
			fmt.Fprintf(&b, "  … and more\n")
			break
		}
		fmt.Fprintf(&b, "  %s  size %d%s\n", l.Origin, l.Size, standing(l))
	}
	return b.Bytes(), nil
}

func standing(s Status) string {
	switch {
	case s.Forked:
		return "  HAS SIGNED TWO HISTORIES: not cosigned"
	case s.Paused:
		return "  paused"
	}
	return ""
}
