using System.Text;

namespace Berth.Node.Linux;

/// <summary>Where a chain of rules stands in a packet's way (linux/netfilter.h).</summary>
internal enum FilterHook
{
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// <summary>Of which packets a table's rules are.</summary>
internal enum FilterFamily : byte
{
    Internet = 1,
    Ip = 2,
    Bridge = 7,
}

/// <summary>A chain of rules.</summary>
/// <param name="Accepts">What follows where no rule decides.</param>
internal sealed record FilterChain(
    string Name, FilterHook Hook, int Priority, bool Accepts, IReadOnlyList<FilterRule> Rules, bool Translates = false);

/// <summary>A set of keys that rules look things up in.</summary>
internal sealed record FilterSet(string Name, int KeyLength);

/// <summary>
/// A table of rules that nobody but this socket can change, nor flush, and that goes with it: nothing is left when this
/// process is killed (NFT_TABLE_F_OWNER, linux/netfilter/nf_tables.h). It comes as one transaction. Throws
/// LinuxException.
/// </summary>
internal sealed class FilterSocket(NetlinkSocket socket, FilterFamily family, string table) : IDisposable
{
    private const ushort Subsystem = 10 << 8;
    private const ushort BatchBegin = 0x10;
    private const ushort BatchEnd = 0x11;
    private const ushort NewTable = Subsystem | 0;
    private const ushort GetTable = Subsystem | 1;
    private const ushort NewChain = Subsystem | 3;
    private const ushort NewRule = Subsystem | 6;
    private const ushort NewSet = Subsystem | 9;
    private const ushort NewElement = Subsystem | 12;
    private const ushort DeleteElement = Subsystem | 14;
    private const uint OwnedFlag = 2;

    /// <summary>Of the namespace that this thread is in.</summary>
    public static FilterSocket Open(FilterFamily family, string table) =>
        new(NetlinkSocket.Open(NetlinkSocket.Netfilter), family, table);

    /// <summary>Makes the table with all that is in it, or nothing.</summary>
    public void Install(IReadOnlyList<FilterSet> sets, IReadOnlyList<FilterChain> chains)
    {
        NetlinkMessages batch = new();
        Edge(batch, BatchBegin);
        Begin(batch, NewTable, NetlinkMessages.Create | NetlinkMessages.Exclusive)
            .Put(1, table).PutBig(2, OwnedFlag).End();
        for (int i = 0; i < sets.Count; i++)
        {
            Begin(batch, NewSet, NetlinkMessages.Create)
                .Put(1, table).Put(2, sets[i].Name).PutBig(3, 0).PutBig(4, 0).PutBig(5, (uint)sets[i].KeyLength)
                .PutBig(10, (uint)i + 1).End();
        }

        foreach (FilterChain chain in chains)
        {
            Begin(batch, NewChain, NetlinkMessages.Create)
                .Put(1, table).Put(3, chain.Name)
                .Nest(4, hook => hook.PutBig(1, (uint)chain.Hook).PutBig(2, unchecked((uint)chain.Priority)))
                .PutBig(5, chain.Accepts ? 1u : 0u).Put(7, chain.Translates ? "nat" : "filter").End();
            foreach (FilterRule rule in chain.Rules)
            {
                Begin(batch, NewRule, NetlinkMessages.Create | NetlinkMessages.Append)
                    .Put(1, table).Put(2, chain.Name).Nest(4, rule.Write).End();
            }
        }

        Edge(batch, BatchEnd);
        socket.Send(batch, $"rules {table}");
    }

    public void Add(string set, params IReadOnlyList<byte[]> keys) => Change(NewElement, set, keys);

    public void Remove(string set, params IReadOnlyList<byte[]> keys) => Change(DeleteElement, set, keys);

    /// <summary>The same where it need not be there.</summary>
    public void RemoveIfThere(string set, byte[] key)
    {
        try
        {
            Remove(set, key);
        }
        catch (LinuxException gone) when (gone.Errno == Errno.NoEntry)
        {
            // It never was, or is not any more.
        }
    }

    /// <summary>Whether the table is there still.</summary>
    public bool IsInstalled()
    {
        bool found = false;
        try
        {
            NetlinkMessages question = new();
            socket.List(
                question.Begin(GetTable, NetlinkMessages.Dump).Raw([(byte)family, 0, 0, 0]).End(), table,
                (_, content) => found |=
                    Encoding.UTF8.GetString(NetlinkSocket.Find(content[4..], 1).TrimEnd((byte)0)) == table);
        }
        catch (LinuxException)
        {
            return false;
        }

        return found;
    }

    public void Dispose() => socket.Dispose();

    private void Change(ushort type, string set, IReadOnlyList<byte[]> keys)
    {
        NetlinkMessages batch = new();
        Edge(batch, BatchBegin);
        Begin(batch, type, type == NewElement ? NetlinkMessages.Create : (ushort)0)
            .Put(1, table).Put(2, set)
            .Nest(3, list =>
            {
                foreach (byte[] key in keys)
                {
                    list.Nest(1, element => element.Nest(1, data => data.Put(1, key)));
                }
            }).End();
        Edge(batch, BatchEnd);
        socket.Send(batch, $"set {set} of {table}");
    }

    private NetlinkMessages Begin(NetlinkMessages batch, ushort type, ushort flags) =>
        batch.Begin(type, (ushort)(flags | NetlinkMessages.Acknowledge)).Raw([(byte)family, 0, 0, 0]);

    /// <summary>struct nfgenmsg with the subsystem's number in the network's order.</summary>
    private static void Edge(NetlinkMessages batch, ushort type) =>
        batch.Begin(type, 0).Raw([0, 0, 0, Subsystem >> 8]).End();
}
