package centre

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// Parts in which long answers travel through the control socket.
const (
	witnessListPage     = 500
	witnessEvidencePage = 8
)

// WitnessLog is a log of the witness, as commands name and show it.
type WitnessLog struct {
	Origin     string     `json:"origin"`
	Keys       []string   `json:"keys,omitempty"` // vkeys
	Note       string     `json:"note,omitempty"`
	PerDay     int64      `json:"per_day,omitempty"`
	Size       int64      `json:"size"`
	Root       string     `json:"root,omitempty"`
	Checkpoint string     `json:"checkpoint,omitempty"` // the newest cosigned
	Added      *time.Time `json:"added,omitempty"`
	Cosigned   *time.Time `json:"cosigned,omitempty"`
	Paused     bool       `json:"paused"`
	Forked     bool       `json:"forked"`
	Reason     string     `json:"reason,omitempty"`
}

// WitnessEvidence is what shows that a log is not honest.
type WitnessEvidence struct {
	Kind     string     `json:"kind"`
	Cosigned string     `json:"cosigned"`
	Other    string     `json:"other"`
	Seen     time.Time  `json:"seen"`
	Accepted *time.Time `json:"accepted,omitempty"`
}

// WitnessImport is what became of a list of logs.
type WitnessImport struct {
	Added     []string `json:"added"`
	Known     int      `json:"known"`
	Different []string `json:"different"` // known with other keys
	Skipped   []string `json:"skipped"`   // why items were left out
}

// WitnessCall is one thing to do with the witness.
type WitnessCall struct {
	Do         string     `json:"do"` // add, list, show, pause, resume, evidence, import, recover, adopt
	Log        WitnessLog `json:"log,omitzero"`
	Reason     string     `json:"reason,omitempty"`
	After      string     `json:"after,omitempty"` // list: the origin before the first
	Skip       int        `json:"skip,omitempty"`  // evidence
	List       []byte     `json:"list,omitempty"`  // import: a log list
	Checkpoint []byte     `json:"checkpoint,omitempty"`
	Replace    bool       `json:"replace,omitempty"` // add: a known log has these keys from now on
}

// WitnessAnswer is what a call gives; which members depends on it.
type WitnessAnswer struct {
	Log      *WitnessLog       `json:"log,omitempty"`
	Logs     []WitnessLog      `json:"logs,omitempty"`
	Evidence []WitnessEvidence `json:"evidence,omitempty"`
	Import   *WitnessImport    `json:"import,omitempty"`
}

// Witness does something with the node's witness.
func (h *Handle) Witness(ctx context.Context, c WitnessCall) (*WitnessAnswer, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var a *WitnessAnswer
	err = h.ask(ctx,
		func(n *Node) (err error) { a, err = n.witnessCall(ctx, c); return err },
		func() error {
			a = &WitnessAnswer{}
			return h.call(ctx, http.MethodPost, "/witness", body, a)
		})
	return a, err
}

// WitnessLogs returns all logs of the witness.
func (h *Handle) WitnessLogs(ctx context.Context) (all []WitnessLog, err error) {
	for c := (WitnessCall{Do: "list"}); ; {
		a, err := h.Witness(ctx, c)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Logs...)
		if len(a.Logs) < witnessListPage {
			return all, nil
		}
		c.After = all[len(all)-1].Origin
	}
}

// WitnessEvidence returns all evidence about a log.
func (h *Handle) WitnessEvidence(ctx context.Context, origin string) (all []WitnessEvidence, err error) {
	for c := (WitnessCall{Do: "evidence", Log: WitnessLog{Origin: origin}}); ; {
		a, err := h.Witness(ctx, c)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Evidence...)
		if len(a.Evidence) < witnessEvidencePage {
			return all, nil
		}
		c.Skip = len(all)
	}
}

// maxWitnessCall holds a log list in base64.
const maxWitnessCall = witness.MaxLogList/3*4 + 64<<10

// serveWitnessCall is [Node.witnessCall] on the control socket.
func (n *Node) serveWitnessCall(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWitnessCall))
	var c WitnessCall
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		reply(w, nil, fmt.Errorf("%w: reading the call: %w", ErrInvalid, err))
		return
	}
	a, err := n.witnessCall(r.Context(), c)
	reply(w, a, err)
}

// witnessCall does what a call asks for.
func (n *Node) witnessCall(ctx context.Context, c WitnessCall) (a *WitnessAnswer, err error) {
	if n.witness == nil {
		return nil, ErrNoWitness
	}
	a = &WitnessAnswer{}
	switch origin := c.Log.Origin; c.Do {
	case "add":
		return a, n.witnessAdd(ctx, c.Log, c.Replace, a)
	case "list":
		a.Logs, err = n.witnessList(ctx, c.After)
	case "show":
		return a, n.witnessShow(ctx, origin, a)
	case "pause":
		if err := n.witness.Pause(ctx, origin, c.Reason); err != nil {
			return nil, err
		}
		return a, n.witnessShow(ctx, origin, a)
	case "resume":
		if err := n.mayResume(ctx, origin); err != nil {
			return nil, err
		}
		if err := n.witness.Resume(ctx, origin, c.Reason); err != nil {
			return nil, err
		}
		return a, n.witnessShow(ctx, origin, a)
	case "evidence":
		a.Evidence, err = n.witnessEvidence(ctx, origin, c.Skip)
	case "import":
		a.Import, err = n.witnessImport(ctx, c.List)
	case "recover":
		err = n.witness.Recover(ctx, c.Reason)
	case "adopt":
		s, err := n.witness.Adopt(ctx, c.Checkpoint, c.Reason)
		if err != nil {
			return nil, err
		}
		a.Log = witnessLog(s, true)
	default:
		err = fmt.Errorf("%w: the witness cannot %.40q", ErrInvalid, c.Do)
	}
	return a, err
}

func (n *Node) witnessAdd(ctx context.Context, l WitnessLog, replace bool, a *WitnessAnswer) error {
	keys, err := parseVkeys(l.Keys)
	if err != nil {
		return err
	}
	err = n.witness.Add(ctx, witness.Log{Origin: l.Origin, Keys: keys, Note: l.Note, PerDay: l.PerDay})
	if replace {
		err = added(err, func() error { return n.witness.SetKeys(ctx, l.Origin, keys) })
	}
	if err != nil {
		return err
	}
	return n.witnessShow(ctx, l.Origin, a)
}

func parseVkeys(vkeys []string) (out []tlog.Verifier, err error) {
	for _, k := range vkeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			return nil, fmt.Errorf("%w: verifier key %.60q: %w", ErrInvalid, k, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func (n *Node) witnessShow(ctx context.Context, origin string, a *WitnessAnswer) error {
	s, err := n.witness.Get(ctx, origin)
	if err != nil {
		return err
	}
	a.Log = witnessLog(s, true)
	return nil
}

func (n *Node) witnessList(ctx context.Context, after string) (out []WitnessLog, err error) {
	page, err := n.witness.List(ctx, after, witnessListPage)
	for _, s := range page {
		out = append(out, *witnessLog(s, false))
	}
	return out, err
}

func witnessLog(s witness.Status, whole bool) *WitnessLog {
	l := &WitnessLog{
		Origin: s.Origin, Size: s.Size, Root: s.Root.String(), PerDay: s.PerDay,
		Added: stamp(s.Added), Cosigned: stamp(s.Cosigned), Paused: s.Paused, Forked: s.Forked,
	}
	if !whole {
		return l
	}
	l.Note, l.Reason, l.Checkpoint = s.Note, s.Reason, string(s.Checkpoint)
	for _, k := range s.Keys {
		l.Keys = append(l.Keys, k.String())
	}
	return l
}

// stamp is a time that may be missing.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (n *Node) witnessEvidence(ctx context.Context, origin string, skip int) (out []WitnessEvidence, err error) {
	if _, err := n.witness.Get(ctx, origin); err != nil {
		return nil, err
	}
	all, err := n.witness.Evidence(ctx, origin)
	if err != nil {
		return nil, err
	}
	for _, e := range all[min(max(skip, 0), len(all)):] {
		if len(out) == witnessEvidencePage {
			break
		}
		out = append(out, WitnessEvidence{string(e.Kind), string(e.Cosigned), string(e.Other), e.Seen, stamp(e.Accepted)})
	}
	return out, nil
}

func (n *Node) witnessImport(ctx context.Context, list []byte) (*WitnessImport, error) {
	l, err := witness.ParseLogList(list)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	r, err := n.witness.AddList(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &WitnessImport{Added: append([]string{}, r.Added...), Known: r.Known, Different: append([]string{}, r.Different...), Skipped: []string{}}
	for _, s := range l.Skipped {
		out.Skipped = append(out.Skipped, fmt.Sprintf("line %d: %v", s.Line, s.Err))
	}
	for _, s := range r.Refused {
		out.Skipped = append(out.Skipped, s.Err.Error())
	}
	return out, nil
}
