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

// Client is the office of one or several nodes that share a queue. It asks the
// node that answered last, and where that fails the others.
type Client struct {
	nodes []clientNode
	last  atomic.Int64
}

type clientNode struct {
	url  string
	http *http.Client
}

// NewClient makes a client.
func NewClient(me *Identity, nodes []Endpoint) (*Client, error) {
	if len(nodes) == 0 {
		return nil, errors.New("no node is named")
	}
	c := &Client{}
	for _, n := range nodes {
		u, err := url.Parse(n.URL)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("node %q: want https://host:port", n.URL)
		}
		c.nodes = append(c.nodes, clientNode{"https://" + u.Host, &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a node does not redirect") },
			Transport: &http.Transport{
				TLSClientConfig: me.clientTLS(n.Key), TLSHandshakeTimeout: 10 * time.Second,
				ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
				ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
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
func (c *Client) Renew(ctx context.Context, id, epoch int64, p Progress) (time.Time, error) {
	var r renewal
	body, err := encode(&p, 4<<10, "the progress")
	if err == nil {
		err = c.ask(ctx, of(id, epoch)+"renew", body, &r, 4<<10)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("renewing the lease on rebuild %d: %w", id, err)
	}
	return time.Parse(timeForm, r.Until)
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

// Content opens what the order needs, at the first node that has it.
func (c *Client) Content(ctx context.Context, id, epoch int64, d digest.Digest) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := c.each(func(n *clientNode) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+of(id, epoch)+"content/"+d.String(), nil)
		if err != nil {
			return err
		}
		res, err := n.http.Do(req)
		if err != nil {
			return err
		}
		if err := refusal(res); err != nil {
			return err
		}
		body = res.Body
		return nil
	})
	return body, err
}

func of(id, epoch int64) string { return fmt.Sprintf("%s%d/%d/", pathOf, id, epoch) }

// ask posts body and reads the answer into v, where that is not nil.
func (c *Client) ask(ctx context.Context, path string, body []byte, v any, limit int) error {
	return c.each(func(n *clientNode) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		res, err := n.http.Do(req)
		if err != nil {
			return err
		}
		if err := refusal(res); err != nil {
			return err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
		switch {
		case err != nil:
			return err
		case v == nil:
			return nil
		case len(b) > limit:
			return fmt.Errorf("an answer of more than %d bytes", limit)
		}
		return strictjson.Unmarshal(b, v, strictjson.Limits{Size: limit})
	})
}

// refusal is the error of an answer that is none, and closes it.
func refusal(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1024)) // words for people
	err := res.Body.Close()
	text := line(string(b))
	switch res.StatusCode {
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrLost, text)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", content.ErrUnknown, text)
	}
	return errors.Join(fmt.Errorf("the node answered %s: %s", res.Status, text), err)
}

// each tries the nodes in turn, beginning with the one that answered last. An
// answer that the lease is lost is the same at all of them.
func (c *Client) each(f func(n *clientNode) error) error {
	var all []error
	first := c.last.Load()
	for i := range int64(len(c.nodes)) {
		n := (first + i) % int64(len(c.nodes))
		err := f(&c.nodes[n])
		if err == nil || errors.Is(err, ErrLost) {
			c.last.Store(n)
			return err
		}
		all = append(all, fmt.Errorf("%s: %w", c.nodes[n].url, err))
	}
	return errors.Join(all...)
}
