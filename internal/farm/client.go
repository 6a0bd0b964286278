package farm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/strictjson"
)

// Endpoint is a node that has work.
type Endpoint struct {
	URL string        // https://host:port
	Key digest.Digest // ID of its farm key
}

// ParseEndpoint reads https://host:port#sha256:KEYID.
func ParseEndpoint(s string) (Endpoint, error) {
	at, text, ok := strings.Cut(s, "#")
	hex, sha := strings.CutPrefix(text, "sha256:")
	id, err := digest.Parse(hex)
	if !ok || !sha || err != nil {
		return Endpoint{}, fmt.Errorf("node %.200q: want https://host:port#sha256:KEYID, as `vitrine doctor` shows it on the node", s)
	}
	e := Endpoint{at, id}
	return e, e.check()
}

func (e Endpoint) check() error {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("node %.200q: want https://host:port", e.URL)
	}
	return nil
}

// Client is the office of one or several nodes that share a queue. It asks the
// node that answered last, and where that fails the others.
type Client struct {
	// Patience is how long a node may be silent, before another is asked.
	Patience time.Duration
	nodes    []clientNode
	last     atomic.Int64
}

// DefaultPatience lets two nodes be silent, one after the other, before a lease
// of [DefaultLease] ends.
const DefaultPatience = 15 * time.Second

type clientNode struct {
	url  string
	http *http.Client
}

// NewClient makes a client.
func NewClient(me *Identity, nodes []Endpoint) (*Client, error) {
	if len(nodes) == 0 {
		return nil, errors.New("no node is named")
	}
	c := &Client{Patience: DefaultPatience}
	for _, n := range nodes {
		if err := n.check(); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, clientNode{strings.TrimRight(n.URL, "/"), &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a node does not redirect") },
			Transport: &http.Transport{
				// HTTP/1.1: a connection that hangs holds up one request and no other.
				TLSClientConfig: me.clientTLS(n.Key), IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
				MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
			},
		}})
	}
	return c, nil
}

// Take asks for work.
func (c *Client) Take(ctx context.Context, _ string) (*Held, error) {
	var t taken
	if err := c.ask(ctx, pathTake, nil, &t, MaxOrder+4<<10); err != nil {
		return nil, fmt.Errorf("asking for work: %w", err)
	}
	return t.Held, nil
}

// Renew keeps the lease.
func (c *Client) Renew(ctx context.Context, id, epoch int64, p Progress) (time.Duration, error) {
	var r renewal
	body, err := encode(&p, 4<<10, "the progress")
	if err == nil {
		err = c.ask(ctx, of(id, epoch)+"renew", body, &r, 4<<10)
	}
	if err != nil {
		return 0, fmt.Errorf("renewing the lease on rebuild %d: %w", id, err)
	}
	return time.Duration(min(max(r.Lasts, 0), maxLease.Milliseconds())) * time.Millisecond, nil
}

// Log appends to the log.
func (c *Client) Log(ctx context.Context, id, epoch, start int64, data []byte) error {
	if err := c.ask(ctx, fmt.Sprintf("%slog/%d", of(id, epoch), start), data, nil, 4<<10); err != nil {
		return fmt.Errorf("log of rebuild %d: %w", id, err)
	}
	return nil
}

// Finish ends the lease.
func (c *Client) Finish(ctx context.Context, id, epoch int64, a *Answer) error {
	body, err := encode(a, 2*MaxResult+2*MaxReport, "the answer")
	if err == nil {
		err = c.ask(ctx, of(id, epoch)+"finish", body, nil, 4<<10)
	}
	if err != nil {
		return fmt.Errorf("the end of rebuild %d: %w", id, err)
	}
	return nil
}

// Return gives the lease back.
func (c *Client) Return(ctx context.Context, id, epoch int64) error {
	if err := c.ask(ctx, of(id, epoch)+"return", nil, nil, 4<<10); err != nil {
		return fmt.Errorf("giving rebuild %d back: %w", id, err)
	}
	return nil
}

// Content opens what the order needs, at the first node that has it.
func (c *Client) Content(ctx context.Context, id, epoch int64, d digest.Digest) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := c.each(func(i int64, n *clientNode) error {
		a, err := c.do(ctx, n, http.MethodGet, of(id, epoch)+"content/"+d.String(), nil)
		if err != nil {
			return err
		}
		a.failed = func() { c.last.CompareAndSwap(i, (i+1)%int64(len(c.nodes))) }
		body = a
		return nil
	})
	return body, err
}

func of(id, epoch int64) string { return fmt.Sprintf("%s%d/%d/", pathOf, id, epoch) }

// ask posts body and reads the answer into v, where that is not nil.
func (c *Client) ask(ctx context.Context, path string, body []byte, v any, limit int) error {
	return c.each(func(_ int64, n *clientNode) error {
		a, err := c.do(ctx, n, http.MethodPost, path, body)
		if err != nil {
			return err
		}
		defer a.Close()
		b, err := io.ReadAll(io.LimitReader(a, int64(limit)+1))
		switch {
		case err != nil:
			return err
		case len(b) > limit:
			return fmt.Errorf("an answer of more than %d bytes", limit)
		case v == nil:
			return nil
		}
		return strictjson.Unmarshal(b, v, strictjson.Limits{Size: limit})
	})
}

// do sends a request. It ends where nothing moves for as long as the client has
// patience, in either direction and until the answer is closed.
func (c *Client) do(ctx context.Context, n *clientNode, method, path string, body []byte) (*answered, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answered{ctx: ctx, cancel: cancel, patience: c.Patience}
	a.timer = time.AfterFunc(c.Patience, func() { cancel(fmt.Errorf("nothing was heard for %s", c.Patience)) })
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, &moving{bytes.NewReader(body), a})
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	req.ContentLength = int64(len(body))
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	res, err := n.http.Do(req)
	if err != nil {
		return nil, errors.Join(a.why(err), a.Close())
	}
	a.body = res.Body
	if err := refusal(res); err != nil {
		return nil, errors.Join(a.why(err), a.Close())
	}
	return a, nil
}

// answered is the answer to a request.
type answered struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	patience time.Duration
	timer    *time.Timer
	body     io.ReadCloser // nil before there is one
	failed   func()        // told where it breaks off or is wrong; may be nil
}

// Read implements [io.Reader].
func (a *answered) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if n > 0 {
		a.timer.Reset(a.patience)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		a.fail()
		err = a.why(err)
	}
	return n, err
}

// fail has the next request go to another node.
func (a *answered) fail() {
	if a.failed != nil {
		a.failed()
	}
}

// why is err, with the reason where it was us who gave up.
func (a *answered) why(err error) error {
	if cause := context.Cause(a.ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// Close ends the request, whether it was read to its end or not.
func (a *answered) Close() error {
	a.timer.Stop()
	defer a.cancel(nil)
	if a.body == nil {
		return nil
	}
	return a.body.Close()
}

// moving is the body of a request: while it is read, something moves.
type moving struct {
	io.Reader
	a *answered
}

// Read implements [io.Reader].
func (m *moving) Read(p []byte) (int, error) {
	m.a.timer.Reset(m.a.patience)
	return m.Reader.Read(p)
}

// refusal is the error of an answer that is none.
func refusal(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1024)) // words for people
	text := line(string(b))
	switch res.StatusCode {
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrLost, text)
	case http.StatusBadRequest:
		return fmt.Errorf("%w: %s", ErrRefused, text)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", content.ErrUnknown, text)
	}
	return errors.Join(fmt.Errorf("the node answered %s: %s", res.Status, text), err)
}

// each tries the nodes in turn, beginning with the one that answered last. That
// the lease is lost, or that what was given is refused, is the same at all of them.
func (c *Client) each(f func(i int64, n *clientNode) error) error {
	var all []error
	first := c.last.Load()
	for k := range int64(len(c.nodes)) {
		i := (first + k) % int64(len(c.nodes))
		err := f(i, &c.nodes[i])
		if err == nil || errors.Is(err, ErrLost) || errors.Is(err, ErrRefused) {
			c.last.Store(i)
			return err
		}
		all = append(all, fmt.Errorf("%s: %w", c.nodes[i].url, err))
	}
	return errors.Join(all...)
}
