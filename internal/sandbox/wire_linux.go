package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// orders is what the process outside tells the first process inside, on a
// pipe: this as JSON after its length, then the bytes of all tar layers and
// inputs one after the other. Nothing inside opens a file of the host.
type orders struct {
	Argv, Env []string
	Dir       string
	Clock     int64 // seconds since 1970
	Hostname  string
	UID, GID  int
	CPUs      int
	Limits    Limits
	Layers    []layerOrder
	Inputs    []inputOrder

	Runsc   string // run the command in this gVisor instead of behind our last wall
	RunscFD int    // as layerOrder.FD
}

type layerOrder struct {
	Size int64  // of the tar file that follows
	Name string // for error messages
	Dir  string // a directory instead
	FD   int    // the directory as a detached mount, if the process outside could make one
	At   string
}

type inputOrder struct {
	At         string
	Size       int64
	Executable bool
}

// news is what the first process inside tells the one outside, a packet each.
type news struct {
	Ready  bool          // all is in place; comes with a descriptor of the root directory
	Failed string        // the sandbox could not be made: why
	Ended  bool          // the command ended
	Status int           // as Result.Exit
	Signal int           // the signal that ended it
	Cannot string        // why the command could not be started
	Memory int64         // most bytes seen
	Over   bool          // ended because of memory
	Late   bool          // a signal ended it when its processor time was over
	CPU    time.Duration // user and system, of all that was waited for
}

// maxNews bounds a packet.
const maxNews = 64 << 10

// maxOrders bounds the JSON of orders: 65,536 inputs with long paths fit.
const maxOrders = 512 << 20

func (o *orders) writeTo(w io.Writer) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readOrders(r io.Reader) (*orders, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxOrders {
		return nil, errors.New("orders are too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	var o orders
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	return &o, nil
}
