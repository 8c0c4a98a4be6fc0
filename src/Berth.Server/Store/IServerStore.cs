namespace Berth.Server.Store;

/// <summary>Every record that a server keeps, in one store.</summary>
internal interface IServerStore
    : IRunStore, IContainerStore, IFunctionStore, ISecretStore, ITriggerStore, INodeStore, INetworkStore,
        IVolumeStore;
