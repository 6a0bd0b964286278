package centre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// say publishes what came of every order that is decided. One that cannot be
// said hinders no other.
func (j *jobs) say(ctx context.Context) error {
	var failed error
	for after := int64(0); ctx.Err() == nil; {
		out, err := j.n.Queue().Decided(ctx, j.n.cfg.origin, after)
		if err != nil || out == nil {
			return errors.Join(failed, err)
		}
		after = out.ID
		if err := j.sayOne(ctx, out); err != nil {
			failed = errors.Join(failed, fmt.Errorf("rebuild %d: %w", out.ID, err))
		}
	}
	return failed
}

// sayOne says what came of an order, once. A process may be killed after each
// line: what is in the content store is put there again without harm, the first
// signed statement stays in the queue, the log takes an entry once, and only
// then the order is marked.
func (j *jobs) sayOne(ctx context.Context, out *farm.Outcome) error {
	said, err := j.moveLogs(ctx, out)
	if err != nil {
		return err
	}
	envelope, err := j.draft(ctx, out, said)
	if err != nil {
		return err
	}
	j.n.log.Debug("signed a rebuild", "rebuild", out.ID)
	r, err := j.n.Submit(ctx, envelope)
	if err != nil {
		return err
	}
	j.n.log.Debug("logged a rebuild", "rebuild", out.ID)
	if err := j.sayProvenance(ctx, out, said); err != nil {
		return err
	}
	j.n.log.Debug("logged a provenance", "rebuild", out.ID)
	if err := j.n.Queue().Said(ctx, out.ID, r.Index); err != nil {
		return err
	}
	j.n.log.Info("published a rebuild", "rebuild", out.ID, "product", out.Product, "version", out.Version, "outcome", out.Outcome, "index", r.Index)
	return nil
}

// moveLogs brings the logs of all attempts into the content store.
func (j *jobs) moveLogs(ctx context.Context, out *farm.Outcome) ([]rebuild.Said, error) {
	class, err := j.logClass(ctx, out)
	if err != nil {
		return nil, err
	}
	said := make([]rebuild.Said, len(out.Tried))
	for i := range out.Tried {
		t := &out.Tried[i]
		said[i] = rebuild.Said{Attempt: &t.Attempt, Outcome: t.Outcome}
		if i > 0 && t.Attempt.Started.Before(out.Tried[i-1].Attempt.Started) { // another worker's clock
			t.Attempt.Started = out.Tried[i-1].Attempt.Started
			if t.Attempt.Finished.Before(t.Attempt.Started) {
				t.Attempt.Finished = t.Attempt.Started
			}
		}
		if t.LogSize == 0 {
			continue
		}
		if said[i].Log, err = j.moveLog(ctx, out.ID, t, class); err != nil {
			return nil, fmt.Errorf("the log of attempt %d: %w", t.N, err)
		}
	}
	if last := said[len(said)-1].Attempt; out.Result != nil && out.Outcome == statement.Different && last.Detail == "" {
		last.Detail = difference(out.Result.Explanation)
	}
	return said, nil
}

// logClass is who may read the logs: those who may read the source, which a
// compiler quotes.
func (j *jobs) logClass(ctx context.Context, out *farm.Outcome) (content.Class, error) {
	raw, _, err := j.n.content.ReadAll(ctx, out.Release, statement.MaxSize)
	if err != nil {
		return "", err
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return "", err
	}
	r, err := env.Statement().Release()
	if err != nil || r.Source == nil {
		return content.Public, err
	}
	return content.ParseClass(r.Source.Access)
}

func (j *jobs) moveLog(ctx context.Context, id int64, t *farm.Tried, class content.Class) (*statement.Evidence, error) {
	w, err := j.n.content.Create(ctx, class, farm.MaxLog)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for from := int64(0); from < t.LogSize; {
		data, err := j.n.Queue().ReadLog(ctx, id, t.Epoch, from)
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			return nil, fmt.Errorf("%w after %d bytes of %d", io.ErrUnexpectedEOF, from, t.LogSize)
		}
		data = data[:min(int64(len(data)), t.LogSize-from)]
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		from += int64(len(data))
	}
	in, err := w.Commit()
	if errors.Is(err, content.ErrConflict) {
		return nil, nil // the same bytes are held for others already; the log is not evidence then
	} else if err != nil {
		return nil, err
	}
	return &statement.Evidence{MediaType: rebuild.LogType, Size: in.Size, SHA256: in.Digest}, nil
}

// draft returns the one signed statement of an order.
func (j *jobs) draft(ctx context.Context, out *farm.Outcome, said []rebuild.Said) ([]byte, error) {
	if out.Envelope != nil && !j.outdated(ctx, out.Envelope) {
		return out.Envelope, nil
	}
	p, err := j.rebuildOf(ctx, out, said)
	if err != nil {
		return nil, err
	}
	s, err := statement.New(p.Subjects(), p)
	if err != nil {
		return nil, err
	}
	envelope, err := j.saidAlready(ctx, out, s)
	if err == nil && envelope == nil {
		envelope, err = j.sign(s)
	}
	if err != nil {
		return nil, err
	}
	if out.Envelope != nil {
		return envelope, j.n.Queue().Redraft(ctx, out.ID, out.Envelope, envelope)
	}
	return j.n.Queue().Draft(ctx, out.ID, envelope)
}

// outdated reports whether the log will never take a draft: its key was retired
// before.
func (j *jobs) outdated(ctx context.Context, envelope []byte) bool {
	_, _, err := j.n.admit(ctx, envelope)
	return errors.Is(err, ErrForbidden)
}

func (j *jobs) sign(s *statement.Statement) ([]byte, error) {
	if _, err := j.n.signingTime(); err != nil {
		return nil, err
	}
	env, err := statement.Sign(s, j.n.keys.statement)
	if err != nil {
		return nil, err
	}
	return env.Bytes(), nil
}

// rebuildOf is what is to be said of an order.
func (j *jobs) rebuildOf(ctx context.Context, out *farm.Outcome, said []rebuild.Said) (*statement.Rebuild, error) {
	res := out.Result
	if res == nil {
		res = out.Order.Fail()
	}
	var explanation *statement.Evidence
	if res.Explanation != nil {
		in, err := j.n.content.Put(ctx, content.Public, bytes.NewReader(res.Explanation), farm.MaxReport)
		if err != nil {
			return nil, fmt.Errorf("the explanation: %w", err)
		}
		explanation = &statement.Evidence{MediaType: rebuild.ExplanationType, Size: in.Size, SHA256: in.Digest}
	}
	return res.Statement(&out.Order, said, explanation)
}

// saidAlready finds the same statement in the own log: the database is older than
// the log. It is nil where there is none.
func (j *jobs) saidAlready(ctx context.Context, out *farm.Outcome, s *statement.Statement) ([]byte, error) {
	all, err := j.docket.Spoken(ctx, out.Release)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		e, err := j.n.projection.Entry(ctx, x.Index)
		if err != nil {
			return nil, err
		}
		raw, _, err := j.n.content.ReadAll(ctx, e.Envelope, statement.MaxSize)
		if err != nil {
			return nil, err
		}
		env, err := statement.Parse(raw)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(env.Statement().Predicate, s.Predicate) {
			return raw, nil
		}
	}
	return nil, nil
}

// sayProvenance says of what an order made that it was built here.
func (j *jobs) sayProvenance(ctx context.Context, out *farm.Outcome, said []rebuild.Said) error {
	if out.Result == nil || len(said) == 0 {
		return nil
	}
	var inputs []recipe.Input
	if r, err := j.recipe(ctx, out.Order.Recipe); err == nil {
		inputs = r.Inputs // for names and places; their digests are in the job
	}
	last := said[len(said)-1]
	p, subject, err := rebuild.Provenance(&out.Order, last.Attempt, out.Result, inputs, j.n.cfg.URL, last.Log)
	if len(subject) == 0 {
		return nil // nothing was made as a whole
	} else if err != nil {
		return err
	}
	s, err := statement.New(subject, p)
	if err != nil {
		return err
	}
	fresh, err := j.sign(s)
	if err != nil {
		return err
	}
	envelope, err := j.docket.Draft(ctx, out.Release, out.Run, fresh)
	if err != nil {
		return err
	}
	if j.outdated(ctx, envelope) {
		if err := j.docket.Redraft(ctx, out.Release, out.Run, envelope, fresh); err != nil {
			return err
		}
		envelope = fresh
	}
	_, err = j.n.Submit(ctx, envelope)
	return err
}
