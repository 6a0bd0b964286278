package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"vitrine.example/tlog"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 1 << 20

// answer is what the witness said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request. Where the witness asks to come again later, it does.
func (e *env) do(method, url string, body []byte) (*answer, error) {
	return e.send(method, url, nil, body)
}

func (e *env) send(method, url string, header http.Header, body []byte) (*answer, error) {
	for try := 0; ; try++ {
		a, err := e.once(method, url, header, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		after, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || try == 5 || after > 10 || a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable {
			return a, nil
		}
		select {
		case <-time.After(time.Duration(after) * time.Second):
		case <-e.ctx.Done():
			return nil, e.ctx.Err()
		}
	}
}

func (e *env) once(method, url string, header http.Header, body io.Reader) (*answer, error) {
	req, err := http.NewRequestWithContext(e.ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	res, err := e.t.Client.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	return &answer{res.StatusCode, res.Header, b}, nil
}

func (e *env) post(call string, body []byte) (*answer, error) {
	return e.do(http.MethodPost, e.t.URL+"/"+call, body)
}

func (e *env) add(q *tlog.AddCheckpoint) (*answer, error) {
	return e.post("add-checkpoint", q.Marshal())
}

// want compares a status.
func (a *answer) want(status int) error {
	if a.status != status {
		return fmt.Errorf("status %d, want %d: %.100q", a.status, status, a.body)
	}
	return nil
}

// refused wants any status that blames the client.
func (a *answer) refused() error {
	if a.status < 400 || a.status > 499 {
		return fmt.Errorf("status %d, want 4xx: %.100q", a.status, a.body)
	}
	return nil
}

// addWants sends a request and compares the status. The player learns what was
// cosigned.
func (e *env) addWants(p *player, q *tlog.AddCheckpoint, status int) (*answer, error) {
	a, err := e.add(q)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		p.size, p.never = q.Checkpoint.Size, false
		p.last = e.merged(q.Checkpoint, a)
	}
	return a, a.want(status)
}

// merged moves the witness's signatures under the checkpoint.
func (e *env) merged(c *tlog.SignedCheckpoint, a *answer) *tlog.SignedCheckpoint {
	out := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint, Signatures: c.Signatures[:len(c.Signatures):len(c.Signatures)]}
	if sigs, err := tlog.ParseSignatures(a.body); err == nil {
		out.Signatures = append(out.Signatures, sigs...)
	}
	return out
}

// cosigned verifies the answer 200 by all keys of the witness that have signed,
// and returns the times; one key at least must have.
func (e *env) cosigned(c tlog.Checkpoint, a *answer) (map[tlog.KeyType]time.Time, error) {
	if err := a.want(http.StatusOK); err != nil {
		return nil, err
	}
	sigs, err := tlog.ParseSignatures(a.body)
	if err != nil {
		return nil, fmt.Errorf("the answer is not signature lines: %w", err)
	}
	return verified(e.t.Keys, &tlog.SignedCheckpoint{Checkpoint: c, Signatures: sigs})
}

func verified(keys []tlog.Verifier, c *tlog.SignedCheckpoint) (map[tlog.KeyType]time.Time, error) {
	times := map[tlog.KeyType]time.Time{}
	for _, k := range keys {
		switch t, err := k.Verify(c); {
		case errors.Is(err, tlog.ErrNotSigned):
		case err != nil:
			return nil, err
		default:
			times[k.Type()] = t
		}
	}
	if len(times) == 0 {
		return nil, errors.New("no signature of the witness's keys")
	}
	return times, nil
}
