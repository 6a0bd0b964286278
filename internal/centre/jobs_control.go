package centre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// The control socket tells of rebuilds:
//
//	GET  /jobs?before=ID            JobList
//	GET  /jobs/{id}                 Job
//	GET  /jobs/{id}/log?attempt=&from=  JobLog
//	POST /jobs                      JobCall in, a farm.Row out

// JobList are rebuilds, the newest first.
type JobList struct {
	Jobs   []farm.Row `json:"jobs"`
	Alerts []Alert    `json:"alerts,omitempty"`
}

// Job is one rebuild with all that is known of it.
type Job struct {
	farm.Row
	Recipe    digest.Digest               `json:"recipe,omitzero"`
	Job       digest.Digest               `json:"job,omitzero"`
	Statement digest.Digest               `json:"statement,omitzero"` // what is said; of its envelope
	Artifacts []statement.RebuiltArtifact `json:"artifacts,omitempty"`
	Attempts  []farm.Tried                `json:"attempts"`
	// Explanation is where the report on what differs is kept, once it is published.
	Explanation *statement.Evidence `json:"explanation,omitempty"`
	Alert       *Alert              `json:"alert,omitempty"`
}

// JobLog is a part of the log of an attempt.
type JobLog struct {
	Attempt int64      `json:"attempt"` // from 1 on
	Running bool       `json:"running"` // more may come
	Data    []byte     `json:"data"`
	State   farm.State `json:"state"` // of the rebuild
	Tries   int64      `json:"tries"` // attempts that ended
}

// What may be done with a rebuild.
const (
	JobAgain      = "again"
	JobCancel     = "cancel"
	JobPrioritise = "prioritise"
	JobAck        = "ack" // ID is then the index of the statement
)

// JobCall asks for something to be done.
type JobCall struct {
	Do       string        `json:"do"`
	ID       int64         `json:"id,omitzero"`
	Release  digest.Digest `json:"release,omitzero"` // of JobAgain, in place of ID
	Priority int64         `json:"priority,omitzero"`
}

func (n *Node) jobList(ctx context.Context, before int64) (*JobList, error) {
	rows, err := n.Queue().List(ctx, before, nil, jobsBatch)
	if err != nil {
		return nil, err
	}
	alerts, err := n.Alerts(ctx)
	return &JobList{Jobs: append([]farm.Row{}, rows...), Alerts: alerts}, err
}

func (n *Node) job(ctx context.Context, id int64) (*Job, error) {
	out, err := n.Queue().Outcome(ctx, id)
	if err != nil {
		return nil, err
	}
	x := &Job{Row: out.Row, Recipe: out.Order.Recipe, Attempts: append([]farm.Tried{}, out.Tried...)}
	if out.Order.Task.Job != nil {
		if x.Job, err = out.Order.Task.Job.Digest(); err != nil {
			return nil, err
		}
	}
	if out.Result != nil {
		x.Artifacts = out.Result.Artifacts
	}
	if out.Envelope != nil {
		env, err := statement.Parse(out.Envelope)
		if err != nil {
			return nil, err
		}
		p, err := env.Statement().Rebuild()
		if err != nil {
			return nil, err
		}
		x.Statement, x.Artifacts, x.Explanation = env.Digest(), p.Artifacts, p.Explanation
		for i := range min(len(x.Attempts), len(p.Attempts)) {
			x.Attempts[i].Attempt.Detail = p.Attempts[i].Detail // with what differs
		}
	}
	alerts, err := n.Alerts(ctx)
	for i := range alerts {
		if alerts[i].Index == x.Index && x.State == farm.Said {
			x.Alert = &alerts[i]
		}
	}
	return x, err
}

// jobLog reads a part of a log; attempt 0 is the newest.
func (n *Node) jobLog(ctx context.Context, id, attempt, from int64) (*JobLog, error) {
	out, err := n.Queue().Outcome(ctx, id)
	if err != nil {
		return nil, err
	}
	l := &JobLog{Attempt: attempt, State: out.State, Tries: out.Tries}
	if attempt == 0 {
		l.Attempt = max(out.Tries, 1)
		if out.State == farm.Leased {
			l.Attempt = out.Tries + 1
		}
	}
	l.Running = l.Attempt > out.Tries && out.State < farm.Decided
	switch {
	case l.Attempt > out.Tries && out.State == farm.Leased:
		l.Data, err = n.Queue().ReadLog(ctx, id, out.Epoch, from)
	case l.Attempt > out.Tries:
	case out.State == farm.Said:
		l.Data, err = n.keptLog(ctx, out.Envelope, l.Attempt, from)
	default:
		l.Data, err = n.Queue().ReadLog(ctx, id, out.Tried[l.Attempt-1].Epoch, from)
	}
	return l, err
}

// keptLog reads a log of the content store.
func (n *Node) keptLog(ctx context.Context, envelope []byte, attempt, from int64) ([]byte, error) {
	env, err := statement.Parse(envelope)
	if err != nil {
		return nil, err
	}
	p, err := env.Statement().Rebuild()
	if err != nil || attempt > int64(len(p.Attempts)) || p.Attempts[attempt-1].Log == nil {
		return nil, err
	}
	f, _, err := n.content.Open(ctx, p.Attempts[attempt-1].Log.SHA256)
	if errors.Is(err, content.ErrUnknown) {
		return nil, fmt.Errorf("%w: the log is gone from the content store", ErrInvalid)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, from); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, farm.MaxChunk))
}

// jobCall does something with a rebuild and returns how it stands then.
func (n *Node) jobCall(ctx context.Context, c JobCall) (*farm.Row, error) {
	q, id, err := n.Queue(), c.ID, error(nil)
	switch c.Do {
	case JobCancel:
		err = q.GiveUp(ctx, id)
	case JobPrioritise:
		err = q.Prioritise(ctx, id, c.Priority)
		if err == nil {
			if e := q.Hurry(ctx, id); e != nil && !errors.Is(e, farm.ErrState) {
				err = e
			}
		}
	case JobAgain:
		id, err = n.again(ctx, c)
	case JobAck:
		if err := n.jobs.hear(ctx); err != nil { // perhaps the node is not served
			return nil, err
		}
		return &farm.Row{Index: id}, n.jobs.docket.Acknowledge(ctx, id)
	default:
		err = fmt.Errorf("%w: %.40q is nothing that is done with rebuilds", ErrInvalid, c.Do)
	}
	if err != nil {
		return nil, err
	}
	out, err := q.Outcome(ctx, id)
	if err != nil {
		return nil, err
	}
	return &out.Row, nil
}

// again orders a further run, by the recipe and the inputs as they are now.
func (n *Node) again(ctx context.Context, c JobCall) (int64, error) {
	release := c.Release
	if release.IsZero() {
		out, err := n.Queue().Outcome(ctx, c.ID)
		if err != nil {
			return 0, err
		}
		release = out.Release
	}
	r, err := n.projection.Release(ctx, release)
	if errors.Is(err, projection.ErrUnknown) {
		return 0, fmt.Errorf("release %s: %w", release, farm.ErrUnknown)
	} else if err != nil {
		return 0, err
	}
	ask, err := n.jobs.ask(ctx, release, r.Origin, false)
	if errors.Is(err, errMissing) {
		return 0, fmt.Errorf("release %s: %w: %w", release, ErrInvalid, err)
	} else if err != nil {
		return 0, err
	}
	ask.Again = true
	id, added, err := n.Queue().Add(ctx, *ask)
	if err != nil {
		return 0, err
	}
	if !added { // it waits or is being built
		return id, n.Queue().Hurry(ctx, id)
	}
	w := farm.Wanted{Release: release, Origin: r.Origin, Index: r.Index}
	return id, errors.Join(n.jobs.docket.See(ctx, []farm.Wanted{w}), n.jobs.docket.Ordered(ctx, release, id))
}

func (n *Node) jobControl(mux *http.ServeMux) {
	number := func(s string) (int64, error) {
		if s == "" {
			return 0, nil
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("%w: %.40q is not a number", ErrInvalid, s)
		}
		return v, nil
	}
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, r *http.Request) {
		before, err := number(r.FormValue("before"))
		if err != nil {
			reply(w, nil, err)
			return
		}
		all, err := n.jobList(r.Context(), before)
		reply(w, all, err)
	})
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := number(r.PathValue("id"))
		if err != nil {
			reply(w, nil, err)
			return
		}
		x, err := n.job(r.Context(), id)
		reply(w, x, err)
	})
	mux.HandleFunc("GET /jobs/{id}/log", func(w http.ResponseWriter, r *http.Request) {
		var v [3]int64
		var errs [3]error
		for i, s := range []string{r.PathValue("id"), r.FormValue("attempt"), r.FormValue("from")} {
			v[i], errs[i] = number(s)
		}
		if err := errors.Join(errs[:]...); err != nil {
			reply(w, nil, err)
			return
		}
		l, err := n.jobLog(r.Context(), v[0], v[1], v[2])
		reply(w, l, err)
	})
	mux.HandleFunc("POST /jobs", func(w http.ResponseWriter, r *http.Request) {
		// An order that is given again may have inputs to be fetched.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(gatherPatience)); err != nil {
			reply(w, nil, err)
			return
		}
		var c JobCall
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&c); err != nil {
			reply(w, nil, fmt.Errorf("%w: reading it: %w", ErrInvalid, err))
			return
		}
		row, err := n.jobCall(r.Context(), c)
		reply(w, row, err)
	})
}

// Jobs returns rebuilds, the newest first: those below an ID, or the newest where
// that is 0.
func (h *Handle) Jobs(ctx context.Context, before int64) (all *JobList, err error) {
	err = h.ask(ctx,
		func(n *Node) error { all, err = n.jobList(ctx, before); return err },
		func() error {
			all = &JobList{}
			return h.call(ctx, http.MethodGet, "/jobs?before="+strconv.FormatInt(before, 10), nil, all)
		})
	return all, err
}

// Job returns one rebuild, or [farm.ErrUnknown].
func (h *Handle) Job(ctx context.Context, id int64) (x *Job, err error) {
	err = h.ask(ctx,
		func(n *Node) error { x, err = n.job(ctx, id); return err },
		func() error {
			x = &Job{}
			return h.call(ctx, http.MethodGet, "/jobs/"+strconv.FormatInt(id, 10), nil, x)
		})
	return x, err
}

// JobLog returns a part of the log of an attempt from an offset on; attempt 0 is
// the newest.
func (h *Handle) JobLog(ctx context.Context, id, attempt, from int64) (l *JobLog, err error) {
	q := url.Values{"attempt": {strconv.FormatInt(attempt, 10)}, "from": {strconv.FormatInt(from, 10)}}
	err = h.ask(ctx,
		func(n *Node) error { l, err = n.jobLog(ctx, id, attempt, from); return err },
		func() error {
			l = &JobLog{}
			return h.call(ctx, http.MethodGet, "/jobs/"+strconv.FormatInt(id, 10)+"/log?"+q.Encode(), nil, l)
		})
	return l, err
}

// DoJob does something with a rebuild and returns how it stands then.
func (h *Handle) DoJob(ctx context.Context, c JobCall) (row *farm.Row, err error) {
	err = h.ask(ctx,
		func(n *Node) error { row, err = n.jobCall(ctx, c); return err },
		func() error {
			b, err := json.Marshal(c)
			if err != nil {
				return err
			}
			row = &farm.Row{}
			return h.callWithin(ctx, gatherPatience, http.MethodPost, "/jobs", b, row)
		})
	return row, err
}
