package centre

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// hear reads in the own log what was said of rebuilds, and raises an alert where
// a release is not identical and those before it were.
func (j *jobs) hear(ctx context.Context) error {
	from, err := j.heardTo(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		s, err := j.n.projection.LogState(ctx, j.n.cfg.origin)
		if err != nil || from >= s.Projected {
			return err
		}
		end := min(from+projection.MaxRows, s.Projected)
		list, err := j.n.projection.Entries(ctx, from, end)
		if err != nil {
			return err
		}
		for i := range list {
			if e := &list[i]; e.PredicateType == statement.RebuildType && e.Problem == "" {
				if err := j.hearOne(ctx, e); err != nil {
					return err
				}
			}
		}
		from = end
		j.mu.Lock()
		j.heard = from
		j.mu.Unlock()
	}
	return ctx.Err()
}

// heardTo is where to read on.
func (j *jobs) heardTo(ctx context.Context) (int64, error) {
	j.mu.Lock()
	from := j.heard
	j.mu.Unlock()
	if from >= 0 {
		return from, nil
	}
	last, err := j.docket.LastHeard(ctx)
	return last + 1, err
}

func (j *jobs) hearOne(ctx context.Context, e *projection.Entry) error {
	raw, _, err := j.n.content.ReadAll(ctx, e.Envelope, statement.MaxSize)
	if errors.Is(err, content.ErrUnknown) {
		return nil
	} else if err != nil {
		return err
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return err
	}
	p, err := env.Statement().Rebuild()
	if err != nil {
		return err
	}
	last := p.Attempts[len(p.Attempts)-1]
	s := &farm.Spoken{Index: e.Index, Release: p.Release, Outcome: p.Outcome, Detail: last.Detail, At: last.Finished}
	r, err := j.n.projection.Release(ctx, p.Release)
	switch {
	case err == nil:
		s.Origin, s.Product, s.Version = r.Origin, r.Product, r.Version
	case !errors.Is(err, projection.ErrUnknown): // of a log that is followed no more
		return err
	}
	if err := j.docket.Heard(ctx, s); err != nil {
		return err
	}
	if s.Streak > 0 && s.Outcome != statement.Identical {
		j.n.log.Warn("a release is not what its source makes, and those before it were", "statement", s.Index,
			"product", s.Product, "version", s.Version, "outcome", s.Outcome, "detail", s.Detail, "identical before", s.Streak)
	}
	return nil
}

// Alert is a release that is not identical though those before it were.
type Alert = farm.Spoken

// AlertText says an alert to people.
func AlertText(a *Alert) string {
	before := fmt.Sprintf("the last %d releases were identical", a.Streak)
	if a.Streak == 1 {
		before = "the release before was identical"
	}
	text := fmt.Sprintf("%s %s: %s, and this one is %s", a.Product, a.Version, before, a.Outcome)
	if a.Detail != "" {
		text += ": " + a.Detail
	}
	return text
}

// Alerts returns the alerts that nobody has acknowledged, the newest first.
func (n *Node) Alerts(ctx context.Context) ([]Alert, error) { return n.jobs.docket.Alerts(ctx) }
