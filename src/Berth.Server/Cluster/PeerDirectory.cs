using Berth.Server.Store;

namespace Berth.Server.Cluster;

/// <summary>The other servers that share the store, as last read. What is gone stays, because records name
/// it.</summary>
internal sealed class PeerDirectory
{
    private volatile IReadOnlyDictionary<string, ServerBeat> others = new Dictionary<string, ServerBeat>();

    /// <summary>This server itself; null before it was read.</summary>
    public ServerBeat? Self { get; private set; }

    /// <summary>Told when the addresses of the servers that are there are others than before.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <summary>Those that are there.</summary>
    public IEnumerable<ServerBeat> Present => others.Values.Where(s => !s.IsGone);

    /// <summary>Those that are there and have an address.</summary>
    public IEnumerable<ServerBeat> Reached => others.Values.Where(s => s is { IsGone: false, Address.Length: > 0 });

    /// <summary>Servers that are there, this one among them.</summary>
    public int Count => others.Values.Count(s => !s.IsGone) + 1;

    /// <summary>Of all servers that are there, this one among them, in one order everywhere.</summary>
    public IReadOnlyList<string> Addresses =>
    [
        .. Reached.Concat(Self is { Address.Length: > 0 } self ? [self] : [])
            .OrderBy(s => s.Id, StringComparer.Ordinal).Select(s => s.Address).Distinct(StringComparer.Ordinal),
    ];

    public ServerBeat? Find(string server) => others.GetValueOrDefault(server);

    /// <summary>Whether a server is there, as far as is known.</summary>
    public bool Has(string server) => Self?.Id == server || Find(server) is { IsGone: false };

    public void Update(IReadOnlyList<ServerBeat> servers)
    {
        IReadOnlyList<string> before = Addresses;
        Self = servers.FirstOrDefault(s => s.IsSelf);
        others = servers.Where(s => !s.IsSelf).ToDictionary(s => s.Id, StringComparer.Ordinal);
        if (!before.SequenceEqual(Addresses))
        {
            Changed();
        }
    }
}
