package centre

import (
	"context"
	"encoding/json"
	"fmt"

	"vitrine.example/internal/artifact"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/strictjson"
)

// Explainer looks into files that differ (docs/spec/explain.md).
func Explainer() rebuild.Explainer { return looker{} }

// Bounds of a report that is kept and published.
const (
	maxDifferences = 500
	maxHunkLines   = 200
)

type looker struct{}

// Explain compares the two, and names them as the release does: where they lie
// on this machine is nobody's business.
func (looker) Explain(ctx context.Context, shipped, rebuilt rebuild.File) ([]byte, bool, error) {
	r, err := artifact.Compare(ctx, shipped.Path, rebuilt.Path, artifact.Options{Differences: maxDifferences, Hunks: maxHunkLines, Built: rebuilt.Built})
	if err != nil {
		return nil, false, fmt.Errorf("comparing %s with what was rebuilt: %w", shipped.Name, err)
	}
	r.Shipped.Name, r.Rebuilt.Name = shipped.Name, rebuilt.Name
	report, err := strictjson.Canonical(r)
	if err != nil {
		return nil, false, fmt.Errorf("writing what was found in %s: %w", shipped.Name, err)
	}
	return report, r.Verdict == artifact.Explained, nil
}

// differing is what is read of an explanation (docs/spec/rebuild.md,
// "Explanation") to say in one line what differs.
type differing struct {
	Artifacts []struct {
		Name    string
		Outcome string
		Note    string
		Members []struct {
			Path, How string
			Report    *differences
		}
		Report *differences
	}
}

// differences are the part of a report that says what no cause explains.
type differences struct {
	Causes []struct {
		Name, Where string
	}
	Differences []struct {
		Where, What string
	}
}

// difference is the first thing that differs, in words; "" where the explanation
// does not say it.
func difference(explanation []byte) string {
	var x differing
	if len(explanation) == 0 || json.Unmarshal(explanation, &x) != nil {
		return ""
	}
	for _, a := range x.Artifacts {
		if a.Outcome == "explained" {
			continue
		}
		if s := a.Report.first(); s != "" {
			return rebuild.OneLine(a.Name + ": " + s)
		}
		for _, m := range a.Members {
			if m.How == "identical" || m.How == "private" || m.How == "explained" {
				continue
			}
			what := m.Report.first()
			switch {
			case m.How == "missing":
				return rebuild.OneLine(a.Name + ": " + m.Path + " was not shipped")
			case what != "":
				return rebuild.OneLine(a.Name + ": " + m.Path + ": " + what + " differs")
			}
			return rebuild.OneLine(a.Name + ": " + m.Path + " differs")
		}
		if a.Note != "" {
			return rebuild.OneLine(a.Name + ": " + a.Note)
		}
	}
	return ""
}

func (d *differences) first() string {
	if d == nil || len(d.Differences) == 0 {
		return ""
	}
	x := d.Differences[0]
	if x.Where != "" && x.What != "" {
		return x.Where + ": " + x.What
	}
	return x.Where + x.What
}
