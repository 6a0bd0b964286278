package web

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds on what one connection may cost.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 15 * time.Second
	writeTimeout   = 60 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeader      = 16 << 10
	maxConnections = 4096
)

// NewServer returns a server for h with the time-outs and limits that every
// listener of a node has.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// LimitListener lets at most a fixed number of connections be open at a time;
// others wait in the kernel's queue.
func LimitListener(l net.Listener) net.Listener {
	return &limitListener{Listener: l, free: make(chan struct{}, maxConnections), done: make(chan struct{})}
}

type limitListener struct {
	net.Listener
	free   chan struct{}
	done   chan struct{}
	closed sync.Once
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.free}, nil
}

func (l *limitListener) Close() error {
	l.closed.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}
