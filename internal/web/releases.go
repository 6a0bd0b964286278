package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/projection"
)

// allLogs is the ?log= of a list of the releases of all logs.
const allLogs = "all"

// releasesPage lists releases, newest first.
type releasesPage struct {
	Releases []projection.Release
	Product  string
	Log      string // origin, "all", or empty for the own log
	Logs     []logRow
	Older    string // address of the next page; empty: there is none
	First    bool
	Behind   int64
}

// Address is that of the list from its beginning, for a log and a product.
func (p *releasesPage) Address(log, product string) string {
	q := url.Values{}
	if log != "" {
		q.Set("log", log)
	}
	if product != "" {
		q.Set("product", product)
	}
	if len(q) == 0 {
		return "/releases"
	}
	return "/releases?" + q.Encode()
}

func (s *site) releases(r *http.Request) (string, any, error) {
	ctx := r.Context()
	p := &releasesPage{Product: r.URL.Query().Get("product"), Log: r.URL.Query().Get("log")}
	var err error
	if p.Logs, err = s.logRows(ctx); err != nil {
		return "", nil, err
	}
	if p.Log == s.Info.Origin {
		p.Log = ""
	}
	if p.Log == allLogs {
		err = s.allReleases(r, p)
	} else {
		err = s.logReleases(r, p)
	}
	if err != nil {
		return "", nil, err
	}
	p.Behind, err = s.behind(ctx)
	return "releases", p, err
}

// logReleases fills the page with the releases of one log.
func (s *site) logReleases(r *http.Request, p *releasesPage) error {
	before, err := before(r)
	if err != nil {
		return err
	}
	known := p.Log == ""
	for _, l := range p.Logs {
		known = known || l.Origin == p.Log
	}
	if !known {
		return errNotFound
	}
	p.First = before == 0
	p.Releases, err = s.Projection.Releases(r.Context(), projection.Filter{
		Log: p.Log, Product: p.Product, Before: before, Limit: pageReleases + 1,
	})
	if err == nil && len(p.Releases) > pageReleases {
		p.Releases = p.Releases[:pageReleases]
		p.older("before", strconv.FormatInt(p.Releases[pageReleases-1].Index, 10))
	}
	return err
}

// allReleases fills the page with those of all logs, by the time that signers give.
func (s *site) allReleases(r *http.Request, p *releasesPage) error {
	after, err := s.cursor(r.Context(), r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	p.First = after == nil
	p.Releases, err = s.Projection.AllReleases(r.Context(), projection.Filter{
		Product: p.Product, Limit: pageReleases + 1,
	}, after)
	if err == nil && len(p.Releases) > pageReleases {
		p.Releases = p.Releases[:pageReleases]
		last := p.Releases[pageReleases-1]
		p.older("after", fmt.Sprintf("%d.%s.%d", last.Release.Published.UnixMicro(), digest.Of([]byte(last.Origin)), last.Index))
	}
	return err
}

// older sets the address of the next page.
func (p *releasesPage) older(name, value string) {
	sep := "?"
	if strings.Contains(p.Address(p.Log, p.Product), "?") {
		sep = "&"
	}
	p.Older = p.Address(p.Log, p.Product) + sep + name + "=" + value
}

// cursor reads the place of a list of all logs; nil for none.
func (s *site) cursor(ctx context.Context, v string) (*projection.Cursor, error) {
	if v == "" {
		return nil, nil
	}
	part := strings.Split(v, ".")
	if len(part) != 3 {
		return nil, fmt.Errorf("%w: after=%.40q", errInvalid, v)
	}
	at, err := strconv.ParseInt(part[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: after=%.40q", errInvalid, v)
	}
	index, err := number(part[2])
	if err != nil {
		return nil, err
	}
	l, err := s.logRow(ctx, part[1])
	if err != nil {
		return nil, err
	}
	return &projection.Cursor{Published: time.UnixMicro(at), Origin: l.Origin, Index: index}, nil
}
