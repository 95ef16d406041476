// Mirrors EndpointSlices without any logic, on client-go's informers: what it sees it creates, and what
// changes it updates. `nox -s bench` measures svclink beside it.
//
//	native-mirror MAIN-KUBECONFIG NAME=REMOTE-KUBECONFIG ...
package main

import (
	"context"
	"log"
	"os"
	"strings"
	"sync"

	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

const writers = 16

// source names an EndpointSlice of a remote cluster.
type source struct{ cluster, key string }

type mirror struct {
	main    kubernetes.Interface
	queue   workqueue.TypedInterface[source]
	stores  map[string]cache.Store // what the informers hold, by cluster
	created sync.Map               // the sources that are in main
}

func main() {
	m := &mirror{connect(os.Args[1]), workqueue.NewTyped[source](), map[string]cache.Store{}, sync.Map{}}
	factories := []informers.SharedInformerFactory{}
	for _, argument := range os.Args[2:] {
		cluster, kubeconfig, _ := strings.Cut(argument, "=")
		factory := informers.NewSharedInformerFactoryWithOptions(connect(kubeconfig), 0, informers.WithTweakListOptions(
			func(options *meta.ListOptions) { options.LabelSelector = discovery.LabelServiceName }))
		informer := factory.Discovery().V1().EndpointSlices().Informer()
		enqueue := func(object any) {
			key, _ := cache.MetaNamespaceKeyFunc(object)
			m.queue.Add(source{cluster, key})
		}
		informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }})
		m.stores[cluster] = informer.GetStore()
		factories = append(factories, factory)
	}
	for _, factory := range factories {
		factory.Start(context.Background().Done())
	}
	for range writers {
		go m.write()
	}
	select {}
}

// connect returns an unthrottled client that speaks Protobuf, as the components of Kubernetes do.
func connect(kubeconfig string) kubernetes.Interface {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	return kubernetes.NewForConfigOrDie(config)
}

func (m *mirror) write() {
	for {
		from, _ := m.queue.Get()
		if object, exists, _ := m.stores[from.cluster].GetByKey(from.key); exists {
			if err := m.put(from, copied(object.(*discovery.EndpointSlice), from.cluster)); err != nil {
				log.Print(err)
				m.queue.Add(from)
			}
		}
		m.queue.Done(from)
	}
}

func (m *mirror) put(from source, slice *discovery.EndpointSlice) error {
	slices := m.main.DiscoveryV1().EndpointSlices(slice.Namespace)
	if _, isKnown := m.created.Load(from); isKnown {
		_, err := slices.Update(context.Background(), slice, meta.UpdateOptions{})
		return err
	}
	if _, err := slices.Create(context.Background(), slice, meta.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	m.created.Store(from, true)
	return nil
}

// copied returns a slice with the name and the labels of a mirror.
func copied(slice *discovery.EndpointSlice, cluster string) *discovery.EndpointSlice {
	service := slice.Labels[discovery.LabelServiceName]
	return &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Name: service + "-" + cluster, Namespace: slice.Namespace, Labels: map[string]string{
			discovery.LabelServiceName:      service,
			discovery.LabelManagedBy:        "svclink.cloudpilot.ai",
			"svclink.cloudpilot.ai/cluster": cluster,
		}},
		AddressType: slice.AddressType, Endpoints: slice.Endpoints, Ports: slice.Ports,
	}
}
