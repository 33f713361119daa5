// Command forward passes TCP connections from loopback ports of the host to addresses inside the cluster's network.
// Each argument is LISTEN=TARGET, for example 127.0.0.1:18080=10.89.0.2:30080.
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	if len(os.Args) < 2 {
		log.Fatal("usage: forward LISTEN=TARGET ...")
	}
	var running sync.WaitGroup
	for _, argument := range os.Args[1:] {
		listen, target, found := strings.Cut(argument, "=")
		if !found {
			log.Fatalf("%q is not LISTEN=TARGET", argument)
		}
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			log.Fatal(err)
		}
		running.Add(1)
		go func() {
			defer running.Done()
			accept(listener, target)
		}()
	}
	running.Wait()
}

func accept(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("%s: %v", listener.Addr(), err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go pass(client, target)
	}
}

func pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		log.Printf("%s: %v", target, err)
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Add(2)
	go copyOneWay(server, client, &both)
	go copyOneWay(client, server, &both)
	both.Wait()
}

// copyOneWay ends only its own direction, so that a half-closed connection can still answer.
func copyOneWay(to, from net.Conn, done *sync.WaitGroup) {
	defer done.Done()
	io.Copy(to, from) // An error ends the direction as an end of file does; the other side sees the close.
	if half, ok := to.(*net.TCPConn); ok {
		half.CloseWrite()
	}
}
