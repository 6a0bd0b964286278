package release

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// openSource looks at the source; nil where there is none.
func (p *Publisher) openSource(ctx context.Context, r Request) (snapshot.Source, error) {
	if r.Source == "" {
		return nil, nil
	}
	src, err := snapshot.Open(ctx, snapshot.Kind(r.Kind), r.Source, snapshot.Limits{Bytes: MaxSource})
	if err != nil || src.Kind() != snapshot.Directory || p.Private == "" {
		return src, err
	}
	if in, err := holds(r.Source, p.Private); err != nil {
		return nil, fmt.Errorf("source %q: %w", r.Source, err)
	} else if in {
		return nil, fmt.Errorf("source %q holds the node's own directory %s, with its keys, which %w: give the source a directory of its own",
			r.Source, p.Private, snapshot.ErrRefused)
	}
	return src, nil
}

// holds reports whether inner is outer or lies below it, links followed.
func holds(outer, inner string) (bool, error) {
	root, err := os.Stat(outer)
	if err != nil {
		return false, err
	}
	if inner, err = filepath.EvalSymlinks(inner); err != nil {
		return false, err
	}
	if inner, err = filepath.Abs(inner); err != nil {
		return false, err
	}
	for {
		fi, err := os.Stat(inner)
		if err != nil {
			return false, err
		}
		if os.SameFile(root, fi) {
			return true, nil
		}
		up := filepath.Dir(inner)
		if up == inner {
			return false, nil
		}
		inner = up
	}
}

// storeSource brings the snapshot into the content store.
func (p *Publisher) storeSource(ctx context.Context, src snapshot.Source, r Request) (*statement.Source, error) {
	total := src.Total()
	p.progress(StageSource, 0, total)
	info, err := p.snapshot(ctx, src, r, func(n int64) { p.progress(StageSource, n, total) })
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", r.Source, explainClass(err, r.access()))
	}
	p.progress(StageSource, max(total, info.Size), max(total, info.Size))
	return &statement.Source{
		Kind: string(src.Kind()), Access: string(r.access()), Commit: src.Commit(), URI: r.SourceURI,
		Size: info.Size, SHA256: info.Digest,
	}, nil
}

// snapshot writes the snapshot, unless that was done before: a commit has one
// snapshot for ever, an archive is a file like an artifact. A directory must be
// read again each time, as nothing tells whether it is what it was.
func (p *Publisher) snapshot(ctx context.Context, src snapshot.Source, r Request, progress func(int64)) (content.Info, error) {
	switch src.Kind() {
	case snapshot.Git:
		return p.commitSnapshot(ctx, src, r.access(), progress)
	case snapshot.Archive:
		return p.archiveSnapshot(ctx, src, r, progress)
	}
	return p.writeSnapshot(ctx, src, r.access(), progress)
}

func (p *Publisher) commitSnapshot(ctx context.Context, src snapshot.Source, class content.Class, progress func(int64)) (content.Info, error) {
	origin := digest.Of([]byte(snapshot.Format + "\n" + src.Commit() + "\n"))
	if info, ok, err := p.recallSnapshot(ctx, origin, class); ok || err != nil {
		return info, err
	}
	info, err := p.writeSnapshot(ctx, src, class, progress)
	if err != nil {
		return info, err
	}
	return info, p.rememberSnapshot(ctx, origin, info.Digest)
}

func (p *Publisher) archiveSnapshot(ctx context.Context, src snapshot.Source, r Request, progress func(int64)) (info content.Info, err error) {
	path, err := filepath.Abs(r.Source)
	if err != nil {
		return info, err
	}
	f, err := snapshot.OpenFile(r.Source)
	if err != nil {
		return info, err
	}
	defer f.Close()
	if d, ok, err := p.recall(ctx, path, f.Identity(), r.access()); ok || err != nil {
		return content.Info{Digest: d, Class: r.access(), Size: f.Identity().Size}, err
	}
	if info, err = p.writeSnapshot(ctx, src, r.access(), progress); err != nil {
		return info, err
	}
	return info, p.rememberSettled(ctx, f, path, info.Digest)
}

// writeSnapshot streams the snapshot into the content store.
func (p *Publisher) writeSnapshot(ctx context.Context, src snapshot.Source, class content.Class, progress func(int64)) (content.Info, error) {
	w, err := p.Content.Create(ctx, class, snapshot.MaxTar)
	if err != nil {
		return content.Info{}, err
	}
	defer w.Close()
	buf := bufio.NewWriterSize(w, 1<<20)
	if _, err := src.WriteTo(ctx, buf, progress); err != nil {
		return content.Info{}, err
	}
	if err := buf.Flush(); err != nil {
		return content.Info{}, err
	}
	return w.Commit()
}
