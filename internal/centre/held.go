package centre

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
)

// servingControl tells on the control socket whether the process that holds the
// node serves it, or is a command that will have ended soon.
func (n *Node) servingControl(mux *http.ServeMux) {
	mux.HandleFunc("GET /serving", func(w http.ResponseWriter, _ *http.Request) {
		addr := ""
		if at := n.serving.Load(); at != nil && !n.stopping.Load() {
			addr = *at
		}
		reply(w, addr, nil)
	})
}

// maxServing bounds the answer.
const maxServing = 1 << 10

// servedAt asks the process that holds the node in dir where it serves the pages.
// It is "" where that is not known: the process is a command, is stopping, does
// not answer in time, or is of an older program.
func servedAt(ctx context.Context, dir string) (addr string) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialControl(ctx, absolute(dir)) },
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/serving", nil)
	if err != nil {
		return ""
	}
	res, err := c.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxServing))
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(b, &addr) != nil {
		return ""
	}
	return addr
}
