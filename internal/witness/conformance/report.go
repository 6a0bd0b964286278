package conformance

import (
	"fmt"
	"io"
	"strings"
)

// Result is the outcome of one check.
type Result struct {
	ID      string  `json:"id"`
	Section string  `json:"section"`
	Level   Level   `json:"level"`
	Text    string  `json:"text"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitzero"` // why it failed
}

// Report is the outcome of all checks.
type Report struct {
	URL     string   `json:"url"`
	Results []Result `json:"results"`
}

// Count returns how many checks had an outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, c := range r.Results {
		if c.Outcome == o {
			n++
		}
	}
	return n
}

// Failed returns the checks that failed.
func (r Report) Failed() []Result {
	var out []Result
	for _, c := range r.Results {
		if c.Outcome == Fail {
			out = append(out, c)
		}
	}
	return out
}

// WriteTable writes a Markdown table.
func (r Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| check | section | level | promise | outcome |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ")
	for _, c := range r.Results {
		out := string(c.Outcome)
		if c.Detail != "" {
			out += ": " + c.Detail
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, c.Section, c.Level, cell.Replace(c.Text), cell.Replace(out))
	}
	fmt.Fprintf(&b, "\n%d of %d passed, %d failed, %d not supported.\n", r.Count(Pass), len(r.Results), r.Count(Fail), r.Count(Skip))
	_, err := io.WriteString(w, b.String())
	return err
}
