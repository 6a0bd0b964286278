package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"vitrine.example/internal/centre"
)

// Bounds on what another node may send.
const (
	fetchLimit   = 4 << 20
	fetchTimeout = 30 * time.Second
)

// source gives a node's description and proofs, from its directory or its URL.
type source interface {
	info(ctx context.Context) (centre.Info, error)
	proof(ctx context.Context, index int64) ([]byte, error)
}

// isURL tells a URL from a directory.
func isURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// nodeInfo returns the description of a node by URL or directory.
func (c *console) nodeInfo(ctx context.Context, node string) (info centre.Info, err error) {
	err = c.source(ctx, node, func(s source) error {
		info, err = s.info(ctx)
		return err
	})
	return info, err
}

// source calls f with the node at a URL or in a directory.
func (c *console) source(ctx context.Context, node string, f func(source) error) error {
	if !isURL(node) {
		return c.connect(ctx, node, func(h *centre.Handle) error { return f(local{h}) })
	}
	u, err := url.Parse(node)
	if err != nil {
		return fmt.Errorf("node URL: %w", err)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return withHint(fmt.Errorf("node %s: plain http can be changed on the way", node), "use https")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("node %s: want a base URL without user, query and fragment", node)
	}
	return f(remote{strings.TrimSuffix(node, "/")})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// local is a node in a directory.
type local struct{ h *centre.Handle }

func (l local) info(context.Context) (centre.Info, error) { return l.h.Info(), nil }

func (l local) proof(ctx context.Context, index int64) ([]byte, error) { return l.h.Proof(ctx, index) }

// remote is a node at a base URL. What it says is not trusted.
type remote struct{ base string }

func (r remote) info(ctx context.Context) (centre.Info, error) {
	var info centre.Info
	b, err := r.get(ctx, "/node.json")
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("reading %s/node.json: %w", r.base, err)
	}
	return info, nil
}

func (r remote) proof(ctx context.Context, index int64) ([]byte, error) {
	return r.get(ctx, "/proof/"+strconv.FormatInt(index, 10))
}

// get fetches a small document; it follows no redirects.
func (r remote) get(ctx context.Context, path string) ([]byte, error) {
	return r.fetch(ctx, path, fetchLimit)
}

// fetch is get for what may be larger.
func (r remote) fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "vitrine/"+centre.Version)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withHint(fmt.Errorf("fetching: %w", err), "check the URL, and that the node is served")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching %s%s: the node answered %s", r.base, path, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("fetching %s%s: %w", r.base, path, err)
	}
	if int64(len(b)) > limit {
		return nil, errors.New("fetching " + r.base + path + ": the answer is too long")
	}
	return b, nil
}
