using System.Globalization;

namespace Berth.Node.Linux;

/// <summary>Processors of the machine to which threads are bound (sched_setaffinity(2)).</summary>
internal sealed class ProcessorSet
{
    /// <summary>For the 8,192 processors that Linux can be built for.</summary>
    private const int Bytes = 1024;

    private readonly byte[] bits;

    private ProcessorSet(byte[] bits) => this.bits = bits;

    /// <summary>In ascending order.</summary>
    public IReadOnlyList<int> Numbers =>
        [.. Enumerable.Range(0, Bytes * 8).Where(n => (bits[n / 8] & (1 << (n % 8))) != 0)];

    /// <summary>Those that this process may have.</summary>
    public static unsafe ProcessorSet OfThisProcess()
    {
        byte[] bits = new byte[Bytes];
        fixed (byte* first = bits)
        {
            if (LibcPrograms.GetAffinity(Environment.ProcessId, Bytes, first) < 0)
            {
                throw LinuxException.Last("sched_getaffinity");
            }
        }

        return new ProcessorSet(bits);
    }

    /// <summary>What a process is bound to that starts as this one did: to what this one may have, and to nothing where
    /// that is all of the machine, which may get more.</summary>
    public static ProcessorSet OfItsChildren()
    {
        ProcessorSet own = OfThisProcess();
        return own.Numbers.Count >= LibcPrograms.OnlineProcessors()
            ? new ProcessorSet([.. Enumerable.Repeat(byte.MaxValue, Bytes)])
            : own;
    }

    public static ProcessorSet Of(int processor)
    {
        byte[] bits = new byte[Bytes];
        bits[processor / 8] = (byte)(1 << (processor % 8));
        return new ProcessorSet(bits);
    }

    /// <summary>Binds a thread, and those that it starts from then on.</summary>
    /// <returns>False where there is no such thread any more, or it may have none of the processors.</returns>
    public unsafe bool Bind(int thread)
    {
        fixed (byte* first = bits)
        {
            return LibcPrograms.SetAffinity(thread, Bytes, first) == 0;
        }
    }

    /// <summary>Binds all threads that a process has.</summary>
    public void BindAll(int process)
    {
        try
        {
            foreach (string thread in Directory.EnumerateDirectories($"/proc/{process}/task"))
            {
                Bind(int.Parse(Path.GetFileName(thread), CultureInfo.InvariantCulture));
            }
        }
        catch (IOException)
        {
            // It has ended.
        }
    }
}
