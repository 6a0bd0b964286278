package recipe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"vitrine.example/digest"
)

// tries is how often one URL is asked again where its answer breaks off.
const tries = 4

// stall is how long an answer may give nothing.
const stall = time.Minute

// pause is how long is waited before it is asked again, times the number of tries.
const pause = 500 * time.Millisecond

// only gives what is read if it has the digest, and an error in the place of
// its end if not: who stores it then stores nothing.
type only struct {
	r    io.Reader
	want digest.Digest
	h    hash.Hash
}

func (o *only) Read(p []byte) (int, error) {
	if o.h == nil {
		o.h = sha256.New()
	}
	n, err := o.r.Read(p)
	o.h.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := digest.Digest(o.h.Sum(nil)); got != o.want {
			return n, errMismatch(got, o.want)
		}
	}
	return n, err
}

// ErrMismatch is the error of what has another digest than the recipe names.
var ErrMismatch = errors.New("it is not what the recipe names")

func errMismatch(got, want digest.Digest) error {
	return fmt.Errorf("%w: its digest is %s and not %s: nothing was kept; find out who changed it before you change the recipe", ErrMismatch, got, want)
}

// download fetches an input into its partial file, from the first place that
// has it, and checks it. It returns the key that an error is about.
func (g *Gatherer) download(ctx context.Context, in *Input, tell func(int64)) (string, error) {
	var asked []error
	for _, from := range in.From {
		p, err := ParsePlace(from)
		if err != nil {
			return "from", err
		}
		urls := g.Registries.URLs(p)
		if len(urls) == 0 {
			asked = append(asked, fmt.Errorf("%.200s: %w", from, errNoRegistry))
		}
		for _, u := range urls {
			err := g.fetch(ctx, in, u, tell)
			if err == nil {
				return "", nil
			}
			if errors.Is(err, ErrMismatch) || ctx.Err() != nil {
				return "sha256", fmt.Errorf("%.200s: %w", from, err)
			}
			asked = append(asked, fmt.Errorf("%.200s: %w", from, err))
		}
	}
	return "from", fmt.Errorf("%w: %w; name another place, or the file itself with --local", ErrUnavailable, errors.Join(asked...))
}

// fetch fetches one URL. What an earlier run left is continued; if the whole is
// then wrong, it is fetched once more from the beginning.
func (g *Gatherer) fetch(ctx context.Context, in *Input, from string, tell func(int64)) error {
	if u, err := url.Parse(from); err == nil && u.Scheme == "file" {
		return g.copyFile(ctx, in, u.Path, tell)
	}
	path := g.partial(in)
	continued := false
	if fi, err := os.Stat(path); err == nil && fi.Size() > 0 {
		continued = fi.Size() <= in.Size
		if !continued {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for again := 0; ; again++ {
		err := g.more(ctx, in, from, path, tell)
		var broke *brokenError
		if errors.As(err, &broke) && again < tries && ctx.Err() == nil {
			if err := sleep(ctx, time.Duration(again+1)*pause); err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, ErrMismatch) {
			return errors.Join(err, os.Remove(path))
		}
		if err != nil {
			return err
		}
		got, err := hashFile(ctx, path)
		if err != nil {
			return err
		}
		if got == in.SHA256 {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		tell(-in.Size)
		if !continued {
			return errMismatch(got, in.SHA256)
		}
		continued = false
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// brokenError is the error of an answer that broke off: asking again may help.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// more adds to the partial file what is missing of it.
func (g *Gatherer) more(ctx context.Context, in *Input, from, path string, tell func(int64)) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil || have == in.Size && have > 0 {
		if err == nil {
			tell(have)
		}
		return err
	}
	waited, stop := context.WithCancel(ctx)
	defer stop()
	watch := time.AfterFunc(stall, stop)
	defer watch.Stop()
	resp, err := g.ask(waited, from, have)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && have > 0 { // it cannot continue
		have = 0
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	return copyBody(f, resp.Body, have, in.Size, func(n int64) {
		watch.Reset(stall)
		tell(n)
	})
}

func (g *Gatherer) ask(ctx context.Context, from string, have int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	req.Header.Set("Accept-Encoding", "identity") // the bytes themselves
	resp, err := g.Client.Do(req)
	if err != nil {
		return nil, &brokenError{err}
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return resp, nil
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		var start int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &start); err == nil && start == have {
			return resp, nil
		}
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0 {
		return nil, fmt.Errorf("%w: it has no more than %d bytes", ErrMismatch, have)
	}
	err = fmt.Errorf("answered %s", resp.Status)
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return nil, &brokenError{err}
	}
	return nil, err
}

// copyBody copies an answer, which must end where the input ends.
func copyBody(w io.Writer, r io.Reader, have, size int64, tell func(int64)) error {
	tell(have)
	counted := &counter{w: w, tell: tell}
	_, err := io.Copy(counted, io.LimitReader(r, size-have+1))
	have += counted.n
	switch {
	case err != nil || have < size:
		tell(-have)
		if err == nil {
			err = fmt.Errorf("ends after %d bytes of %d", have, size)
		}
		return &brokenError{err}
	case have > size:
		tell(-have)
		return fmt.Errorf("%w: it has more than the %d bytes that the recipe names", ErrMismatch, size)
	}
	return nil
}

type counter struct {
	w    io.Writer
	n    int64
	tell func(int64)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.tell(int64(n))
	return n, err
}

// copyFile is fetch for a file of this machine.
func (g *Gatherer) copyFile(ctx context.Context, in *Input, from string, tell func(int64)) error {
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("is not in the cache of this machine")
	} else if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() != in.Size {
		return fmt.Errorf("%s is not a file of %d bytes", from, in.Size)
	}
	if err := os.MkdirAll(g.Partial, 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(g.partial(in), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &only{r: during{ctx, f}, want: in.SHA256})
	if err = errors.Join(err, out.Close()); err == nil {
		tell(in.Size)
	}
	return err
}
