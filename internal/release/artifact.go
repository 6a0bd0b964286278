package release

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/sbom"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// artifact is an open file that is to be released.
type artifact struct {
	*snapshot.File
	name string
	path string // absolute
}

func (a *artifact) size() int64 { return a.Identity().Size }

// artifacts are sorted by name, so that the order of arguments does not matter.
type artifacts []*artifact

// openArtifacts opens every file before any is read, so that a missing one is
// found at once.
func openArtifacts(paths []string) (all artifacts, err error) {
	for _, path := range paths {
		a, err := openArtifact(path)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("artifact: %w", err)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *artifact) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

func openArtifact(path string) (*artifact, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := snapshot.OpenFile(path)
	if err != nil {
		return nil, err
	}
	a := &artifact{File: f, name: filepath.Base(path), path: abs}
	if a.size() > MaxArtifact {
		return nil, errors.Join(fmt.Errorf("%q has %d bytes, of at most %d", path, a.size(), int64(MaxArtifact)), f.Close())
	}
	return a, nil
}

func (all artifacts) close() {
	for _, a := range all {
		_ = a.Close() // was only read
	}
}

func (all artifacts) size() (n int64) {
	for _, a := range all {
		n += a.size()
	}
	return n
}

// storeArtifacts brings every artifact and its SBOM into the content store.
func (p *Publisher) storeArtifacts(ctx context.Context, all artifacts) ([]statement.Artifact, error) {
	var out []statement.Artifact
	var done int64
	total := all.size()
	p.progress(StageArtifacts, 0, total)
	for _, a := range all {
		before := done
		said, err := p.storeArtifact(ctx, a, func(n int64) { p.progress(StageArtifacts, before+n, total) })
		if err != nil {
			return nil, fmt.Errorf("artifact %q: %w", a.name, err)
		}
		done += a.size()
		p.progress(StageArtifacts, done, total)
		out = append(out, said)
	}
	return out, nil
}

// storeArtifact hashes and stores one file, unless that was done before.
func (p *Publisher) storeArtifact(ctx context.Context, a *artifact, progress func(int64)) (statement.Artifact, error) {
	d, err := p.storeFile(ctx, a.File, a.path, content.Public, MaxArtifact, progress)
	if err != nil {
		return statement.Artifact{}, err
	}
	out := statement.Artifact{Name: a.name, Size: a.size(), SHA256: d}
	out.SBOM, err = p.storeSBOM(ctx, a, d)
	return out, err
}

// storeFile stores a file of others' making under class, or finds that it is
// there already. What is returned is the digest of what the file still is.
func (p *Publisher) storeFile(ctx context.Context, f *snapshot.File, path string, class content.Class, max int64, progress func(int64)) (digest.Digest, error) {
	if d, ok, err := p.recall(ctx, path, f.Identity(), class); ok || err != nil {
		return d, err
	}
	r := &watched{f: f, progress: progress}
	info, err := p.Content.Put(ctx, class, r, max)
	if err != nil {
		return digest.Digest{}, explainClass(err, class)
	}
	return info.Digest, p.rememberSettled(ctx, f, path, info.Digest)
}

// explainClass says what to do where content is held under another class.
func explainClass(err error, class content.Class) error {
	if errors.Is(err, content.ErrConflict) {
		return fmt.Errorf("%w: it cannot be %s as well: release source that is shipped too under access %s",
			err, class, content.Public)
	}
	return err
}

// watched reads a file, tells how far it is, and does not end in peace where
// the file has changed meanwhile.
type watched struct {
	f        *snapshot.File
	n        int64
	progress func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.f.Read(p)
	w.n += int64(n)
	w.progress(w.n)
	if w.n > w.f.Identity().Size || errors.Is(err, io.EOF) {
		if changed := w.f.Unchanged(); changed != nil {
			return n, changed
		}
		if w.n != w.f.Identity().Size {
			return n, fmt.Errorf("%d bytes were read, of %d: %w", w.n, w.f.Identity().Size, snapshot.ErrChanged)
		}
	}
	return n, err
}

// storeSBOM makes and stores the SBOM of an artifact that has one.
func (p *Publisher) storeSBOM(ctx context.Context, a *artifact, d digest.Digest) (*statement.Evidence, error) {
	doc, err := sbom.Go(a, d)
	if errors.Is(err, sbom.ErrNone) {
		p.log().Info("no SBOM: not a Go binary with build information", "artifact", a.name)
		return nil, a.Unchanged()
	}
	if err != nil {
		return nil, err
	}
	if err := a.Unchanged(); err != nil {
		return nil, err
	}
	info, err := p.Content.Put(ctx, content.Public, bytes.NewReader(doc), sbom.MaxSize)
	if err != nil {
		return nil, err
	}
	return &statement.Evidence{MediaType: sbom.MediaType, Size: info.Size, SHA256: info.Digest}, nil
}
