package centre

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// jobsBatch is how many releases are looked at at a time.
const jobsBatch = 200

// order notes releases that are new in the projection, and orders those for
// which everything is here.
func (j *jobs) order(ctx context.Context) error {
	if len(j.n.cfg.Rebuild) == 0 {
		return pause(ctx, jobsRest)
	}
	found, err := j.see(ctx)
	if err != nil {
		return err
	}
	if !found && time.Since(j.looked) < wantedPause {
		return nil
	}
	j.looked = time.Now()
	var after *farm.Wanted
	for {
		list, err := j.docket.Wanted(ctx, after, jobsBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			if err := j.orderOne(ctx, &list[i]); err != nil {
				return err
			}
		}
		after = &list[len(list)-1]
	}
}

// see notes the releases that came since the last look, and reports whether
// there were any. After a start it looks at all.
func (j *jobs) see(ctx context.Context) (bool, error) {
	logs, err := j.n.projection.Logs(ctx)
	if err != nil {
		return false, err
	}
	found := false
	for _, l := range logs {
		if !j.n.cfg.rebuilds(l.Origin) {
			continue
		}
		above, known := j.seen[l.Origin]
		if !known {
			above = -1
		}
		for above = min(above, j.came(l.Origin)); ; {
			list, err := j.n.projection.NamesOf(ctx, l.Origin, above, jobsBatch)
			if err != nil {
				return false, err
			}
			if len(list) == 0 {
				break
			}
			if err := j.docket.See(ctx, wanted(l.Origin, list)); err != nil {
				return false, err
			}
			above, found = list[len(list)-1].Index, true
		}
		j.seen[l.Origin] = above
	}
	return found, nil
}

// came returns and forgets where to look again because a statement came late.
func (j *jobs) came(origin string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	index, ok := j.late[origin]
	delete(j.late, origin)
	if !ok {
		return 1<<63 - 1
	}
	return index - 1
}

func wanted(origin string, list []projection.Release) []farm.Wanted {
	out := make([]farm.Wanted, len(list))
	for i := range list {
		out[i] = farm.Wanted{Release: list[i].Statement, Origin: origin, Index: list[i].Index}
	}
	return out
}

// orderOne orders a release, unless it has to wait.
func (j *jobs) orderOne(ctx context.Context, w *farm.Wanted) error {
	if !j.n.cfg.rebuilds(w.Origin) {
		return nil // it was taken off the list
	}
	if said, err := j.docket.Spoken(ctx, w.Release); err != nil {
		return err
	} else if len(said) > 0 { // the database was made again from the log
		if done, err := j.ordered(ctx, w.Release); err != nil || done {
			return err
		}
		return j.docket.Ordered(ctx, w.Release, farm.SaidBefore)
	}
	patient := w.Origin != j.n.cfg.origin && time.Since(w.Since) < j.n.cfg.withheld
	ask, err := j.ask(ctx, w.Release, w.Origin, patient)
	switch {
	case errors.Is(err, projection.ErrUnknown) || errors.Is(err, errMissing):
		return nil
	case err != nil:
		return err
	}
	id, _, err := j.n.Queue().Add(ctx, *ask)
	if err != nil {
		return err
	}
	j.n.log.Info("ordered a rebuild", "rebuild", id, "release", w.Release, "product", ask.Product, "version", ask.Version, "refused", ask.Detail)
	return j.docket.Ordered(ctx, w.Release, id)
}

// ordered finds the order of a release that was added and not noted.
func (j *jobs) ordered(ctx context.Context, release digest.Digest) (bool, error) {
	rows, err := j.n.Queue().List(ctx, 0, &release, farm.MaxRows)
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		if r.Node == j.n.cfg.origin {
			return true, j.docket.Ordered(ctx, release, r.ID)
		}
	}
	return false, nil
}

// errMissing says that something of a release has not come yet.
var errMissing = errors.New("it has not come yet")

// refusal is why a release cannot be built.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// ask makes the order of a release. With patient, what is missing is an
// [errMissing]; without, the order is made as it can be.
func (j *jobs) ask(ctx context.Context, release digest.Digest, origin string, patient bool) (*farm.Ask, error) {
	raw, _, err := j.n.content.ReadAll(ctx, release, statement.MaxSize)
	if errors.Is(err, content.ErrUnknown) {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	} else if err != nil {
		return nil, err
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return nil, err
	}
	r, err := env.Statement().Release()
	if err != nil {
		return nil, err
	}
	a := &farm.Ask{Node: j.n.cfg.origin, Origin: origin, Product: r.Product, Version: r.Version, Order: rebuild.Order{Release: release}}
	for _, x := range r.Artifacts {
		a.Order.Shipped = append(a.Order.Shipped, rebuild.Shipped{Name: x.Name, SHA256: x.SHA256, Size: x.Size})
		if _, err := j.n.content.Stat(x.SHA256); errors.Is(err, content.ErrUnknown) && patient {
			return nil, fmt.Errorf("%w: %s", errMissing, x.Name)
		}
	}
	rec, err := j.fill(ctx, &a.Order, r, patient)
	if no, ok := errors.AsType[refusal](err); ok {
		a.Refused, a.Detail = statement.ReasonRecipe, rebuild.OneLine(no.Error())
		a.Order.Task = rebuild.Task{}
		return a, nil
	} else if err != nil {
		return nil, err
	}
	if err := j.gather(ctx, rec); err != nil { // the attempt will say so, and be repeated
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		j.n.log.Warn("an input of a rebuild cannot be had", "release", release, "err", err)
	}
	return a, nil
}

// fill makes the job of the release's recipe.
func (j *jobs) fill(ctx context.Context, o *rebuild.Order, r *statement.Release, patient bool) (*recipe.Recipe, error) {
	text, err := j.recipeOf(ctx, r)
	if errors.Is(err, errMissing) && !patient {
		return nil, refuse("%w", err)
	} else if err != nil {
		return nil, err
	}
	o.Recipe = digest.Of(text)
	rec, err := recipe.Parse(text)
	if err != nil {
		return nil, refuse("%w", err)
	}
	var source recipe.Content
	if r.Source != nil {
		source = recipe.Content{SHA256: r.Source.SHA256, Size: r.Source.Size}
		if err := j.wantSource(rec, r.Source); errors.Is(err, errMissing) && !patient {
			return nil, refuse("%w", err)
		} else if err != nil {
			return nil, err
		}
	}
	if err := j.n.cfg.afford(rec, source); err != nil {
		return nil, err
	}
	job, err := rec.Job(source)
	if err != nil {
		return nil, refuse("recipe: %w", err)
	}
	o.Outputs, o.Task = rec.Outputs, rebuild.Task{Job: job, Limits: rec.Limits}
	if err := o.Check(); err != nil {
		return nil, refuse("%w", err)
	}
	for _, in := range rec.Inputs {
		if in.Private != "" {
			o.Private = append(o.Private, in.SHA256)
		}
	}
	return rec, nil
}

// wantSource makes sure that the source is here, where the recipe builds it.
func (j *jobs) wantSource(rec *recipe.Recipe, s *statement.Source) error {
	for _, in := range rec.Inputs {
		if !in.Source {
			continue
		}
		_, err := j.n.content.Stat(s.SHA256)
		if errors.Is(err, content.ErrUnknown) {
			return sourceMissing(s)
		}
		return err
	}
	return nil
}

// sourceMissing says that the source is not here: a public one will perhaps come.
func sourceMissing(s *statement.Source) error {
	if content.Class(s.Access) == content.Public {
		return fmt.Errorf("the source %s: %w", s.SHA256, errMissing)
	}
	return refuse("the source %s is not held here, and only who may have it can build it (access %s)", s.SHA256, s.Access)
}
