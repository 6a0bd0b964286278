package centre

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/sandbox"
)

// Files of a worker's directory.
const (
	workerKeyFile  = "worker.pem"
	workerWorkDir  = "work"
	workerCacheDir = "cache"
)

// maxSlotsAway is how much one worker may build at once.
const maxSlotsAway = 256

// WorkerOptions are a worker apart from a node.
type WorkerOptions struct {
	Nodes  []string // https://host:port#sha256:KEYID; all with one queue
	Dir    string
	Engine string // embedded or gvisor
	Slots  int
	Cache  int64 // bytes of inputs that are kept
	Log    *slog.Logger
}

// WorkerID is the ID of the key of the worker in dir, which is made where it is
// missing: what a node must know.
func WorkerID(dir string) (digest.Digest, error) {
	me, err := worker(dir)
	if err != nil {
		return digest.Digest{}, err
	}
	return me.ID(), nil
}

func worker(dir string) (*farm.Identity, error) {
	if err := os.MkdirAll(dir, privateMode); err != nil {
		return nil, fmt.Errorf("making the worker's directory: %w", err)
	}
	return farm.OpenIdentity(filepath.Join(dir, workerKeyFile))
}

// RunWorker builds what nodes want built, until ctx ends.
func RunWorker(ctx context.Context, o WorkerOptions) error {
	if o.Slots < 1 || o.Slots > maxSlotsAway {
		return fmt.Errorf("slots: %d is not between 1 and %d", o.Slots, maxSlotsAway)
	}
	var nodes []farm.Endpoint
	for _, s := range o.Nodes {
		e, err := farm.ParseEndpoint(s)
		if err != nil {
			return err
		}
		nodes = append(nodes, e)
	}
	engine, err := engineOf(o.Engine)
	if err != nil {
		return err
	}
	me, err := worker(o.Dir)
	if err != nil {
		return err
	}
	office, err := farm.NewClient(me, nodes)
	if err != nil {
		return err
	}
	cache, err := farm.OpenCache(filepath.Join(o.Dir, workerCacheDir), o.Cache)
	if err != nil {
		return err
	}
	w := &farm.Worker{
		Name: me.ID().String(), Office: office, Engine: engine, Explainer: Explainer(), Dir: filepath.Join(o.Dir, workerWorkDir),
		Cache: cache, Slots: o.Slots, Now: time.Now, Log: o.Log,
	}
	return w.Run(ctx)
}

// engineOf is the sandbox of a name.
func engineOf(name string) (sandbox.Engine, error) {
	switch name {
	case "embedded":
		return &sandbox.Embedded{}, nil
	case "gvisor":
		return &sandbox.GVisor{}, nil
	}
	return nil, errors.New("engine: want embedded or gvisor")
}
