package centre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"vitrine.example/internal/web"
)

// listener is one address of a node with what answers there.
type listener struct {
	name string
	net.Listener
	srv *http.Server
}

// Serve listens as configured until ctx is done, then stops gracefully: it
// accepts nothing more and lets requests under way finish, for at most 15
// seconds. The node stays open; call Close.
//
// ready, where not nil, is called with the address of the pages (http://…) once
// all listeners accept.
func (n *Node) Serve(ctx context.Context, ready func(addr string)) error {
	site, err := n.site()
	if err != nil {
		return fmt.Errorf("serving the node: %w", err)
	}
	stopJobs, err := n.startJobs(ctx)
	if err != nil {
		return fmt.Errorf("serving the node: %w", err)
	}
	defer stopJobs()
	listeners, err := n.listen(ctx, site)
	if err != nil {
		return fmt.Errorf("serving the node: %w", err)
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		n.log.Info("listening", "for", l.name, "address", l.Addr().String())
		go func() {
			err := l.srv.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			ended <- err
		}()
	}
	addr := "http://" + listeners[0].Addr().String()
	n.serving.Store(&addr)
	if ready != nil {
		ready(addr)
	}
	var failed error
	waiting := len(listeners)
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
	case failed = <-ended:
		waiting--
	}
	n.stopping.Store(true)
	errs := []error{failed, shutDown(listeners)}
	for range waiting {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// shutDown stops all listeners at once, so that none keeps the others waiting.
func shutDown(listeners []*listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	done := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			err := l.srv.Shutdown(ctx)
			if err != nil {
				err = fmt.Errorf("stopping %s: %w", l.name, errors.Join(err, l.srv.Close()))
			}
			done <- err
		}()
	}
	var errs []error
	for range listeners {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// site makes the handler of the public address.
func (n *Node) site() (http.Handler, error) {
	o := web.Options{
		Info: n.Info(), Describe: n.Info, Ledger: n.ledger, Content: n.content, Projection: n.projection, Circle: n, Standing: n,
		Ready: n.unready, Logger: n.log, Metrics: n.metrics, Now: time.Now,
		Rate: float64(n.cfg.RequestsPerSecond), Burst: int(n.cfg.RequestBurst), Proxies: n.cfg.proxies,
		Mounts: n.mounts(), Forks: n.gossip, Dealings: n, Proofs: n, Jobs: n.jobPages(n.shownQueue()),
	}
	if n.witness != nil {
		o.Witness = n.witness
	}
	if n.holdings != nil {
		o.Holdings = n.holdings
	}
	return web.New(o)
}

// listen opens every configured address, the pages first, or none.
func (n *Node) listen(ctx context.Context, site http.Handler) (out []*listener, err error) {
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", n.metrics)
	metrics.Handle("GET /healthz", site)
	metrics.Handle("GET /readyz", site)
	for _, a := range []struct {
		name, addr string
		h          http.Handler
	}{
		{"pages", n.cfg.Listen, site},
		{"metrics", n.cfg.MetricsListen, metrics},
		{"add", n.cfg.AddListen, n.onceFresh(n.ledger.AddHandler())},
	} {
		if a.addr == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.addr)
		if err == nil && a.name == "add" {
			err = onlyLoopback(l)
		}
		if err != nil {
			for _, o := range out {
				err = errors.Join(err, o.Close())
			}
			return nil, fmt.Errorf("listening on %s for %s: %w", a.addr, a.name, err)
		}
		out = append(out, &listener{a.name, web.LimitListener(l), web.NewServer(a.h, n.log)})
	}
	workers, failed := n.farmListener(ctx)
	if workers != nil {
		out = append(out, workers)
	}
	through, err := n.throughBastions(site)
	if err = errors.Join(failed, err); err != nil {
		for _, o := range out {
			err = errors.Join(err, o.Close())
		}
		return nil, err
	}
	return append(out, through...), nil
}

// onlyLoopback closes a listener that others than this machine can reach:
// "localhost" is only a name.
func onlyLoopback(l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		return nil
	}
	return errors.Join(fmt.Errorf("%s is not a loopback address", l.Addr()), l.Close())
}
