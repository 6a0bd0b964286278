package draft

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
)

// maxFetched bounds one file that is fetched to be pinned.
const maxFetched = 2 << 30

// errNowhere is the error of what no registry of this machine gives.
var errNowhere = errors.New("cannot be had")

// got is a fetched file.
type got struct {
	recipe.Content
	path string
}

// get fetches a place to find its digest.
func (d *draft) get(place string) (*got, error) {
	p, err := recipe.ParsePlace(place)
	if err != nil {
		return nil, err
	}
	urls := d.from.URLs(p)
	if len(urls) == 0 {
		return nil, fmt.Errorf("%s: this machine has no registry for it", place)
	}
	var asked []error
	for _, u := range urls {
		g, err := d.fetch(u)
		if err == nil {
			return g, nil
		}
		asked = append(asked, err)
	}
	return nil, fmt.Errorf("%s: %w: %w", place, errNowhere, errors.Join(asked...))
}

func (d *draft) fetch(from string) (*got, error) {
	if u, err := url.Parse(from); err == nil && u.Scheme == "file" {
		return d.onDisk(u.Path)
	}
	r, err := d.body(from)
	if err != nil {
		return nil, err
	}
	return d.copyIn(r)
}

// onDisk is a file of this machine, as it is now.
func (d *draft) onDisk(path string) (*got, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return d.copyIn(f)
}

// copyIn takes a copy and closes r.
func (d *draft) copyIn(r io.ReadCloser) (_ *got, err error) {
	defer r.Close()
	d.n++
	path := filepath.Join(d.tmp, strconv.Itoa(d.n))
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	tell := func(n int64) {
		if d.Progress != nil {
			d.Progress(StageDraft, d.done+n, -1)
		}
	}
	sum, n, err := digest.OfReader(io.TeeReader(io.LimitReader(r, maxFetched), f), tell)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	d.done += n
	return &got{recipe.Content{SHA256: sum, Size: n}, path}, nil
}

func (d *draft) body(from string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := d.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("answered %s", resp.Status)
	}
	return resp.Body, nil
}

// pin makes an input of what a place has.
func (d *draft) pin(in recipe.Input, g *got, place string) recipe.Input {
	in.SHA256, in.Size, in.From = g.SHA256, g.Size, []string{place}
	return in
}
