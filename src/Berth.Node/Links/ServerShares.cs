using System.Collections.Concurrent;
using Berth.Core.Nodes;

namespace Berth.Node.Links;

/// <summary>What each server has of this machine, by the server's name: containers outlast links. Thread-safe.
/// </summary>
internal sealed class ServerShares
{
    /// <summary>No more than there are servers that have the authority's certificate.</summary>
    private readonly ConcurrentDictionary<string, Share> shares = new(StringComparer.Ordinal);

    public Share Of(string server) => shares.GetOrAdd(server, static _ => new Share());

    internal sealed class Share
    {
        private int running;
        private long promised;

        /// <summary>Attempts that take places.</summary>
        public int Running => Volatile.Read(ref running);

        /// <summary>Bytes of memory.</summary>
        public long Promised => Volatile.Read(ref promised);

        /// <summary>Counts what has room until that is disposed, and the room with it.</summary>
        public IDisposable Count(AdmissionDemand demand, IDisposable place)
        {
            Add(demand, 1);
            return new Counted(this, demand, place);
        }

        private void Add(AdmissionDemand demand, int sign)
        {
            Interlocked.Add(ref running, demand.TakesPlace ? sign : 0);
            Interlocked.Add(ref promised, sign * demand.Memory.Bytes);
        }

        private sealed class Counted(Share share, AdmissionDemand demand, IDisposable place) : IDisposable
        {
            private int returned;

            public void Dispose()
            {
                if (Interlocked.Exchange(ref returned, 1) == 0)
                {
                    share.Add(demand, -1);
                    place.Dispose();
                }
            }
        }
    }
}
