using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Programs;

/// <summary>Descriptors that came with an order, for a program's standard streams. A terminal is one for all.</summary>
internal struct AttachedStreams
{
    public int Count;
    public int Input;
    public int Output;
    public int Error;

    /// <summary>The write end of the progress pipe; 0 for none.</summary>
    public int Progress;
    public bool IsTerminal;

    public static AttachedStreams Of(StandardStreams streams, ReadOnlySpan<int> descriptors) => streams switch
    {
        StandardStreams.Attached => new AttachedStreams
        {
            Count = 3,
            Input = descriptors[0],
            Output = descriptors[1],
            Error = descriptors[2],
        },
        StandardStreams.Terminal => new AttachedStreams
        {
            Count = 1,
            Input = descriptors[0],
            Output = descriptors[0],
            Error = descriptors[0],
            IsTerminal = true,
        },
        StandardStreams.WithProgress => new AttachedStreams
        {
            Count = 3,
            Input = descriptors[0],
            Output = descriptors[1],
            Error = descriptors[2],
            Progress = descriptors[3],
        },
        _ => default,
    };

    /// <summary>In the child: makes them 0, 1 and 2. False with errno set.</summary>
    public readonly bool TryInstall() =>
        Count == 0
        || (Kernel.Duplicate(Input, 0) >= 0 && Kernel.Duplicate(Output, 1) >= 0 && Kernel.Duplicate(Error, 2) >= 0
            && (!IsTerminal || Kernel.Control(0, Kernel.TIOCSCTTY, 0) >= 0));

    /// <summary>In the init, which keeps no end of them.</summary>
    public readonly void Close()
    {
        if (Count > 0)
        {
            Kernel.Close(Input);
        }

        if (Count > 1)
        {
            Kernel.Close(Output);
            Kernel.Close(Error);
        }

        if (Progress > 0)
        {
            Kernel.Close(Progress);
        }
    }
}
