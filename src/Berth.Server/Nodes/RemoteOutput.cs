using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>What a program on another machine writes, as frames bring it.</summary>
/// <param name="output">Told how many bytes of standard output were read.</param>
/// <param name="error">The same of standard error.</param>
internal sealed class RemoteOutput(Action<int> output, Action<int> error) : IAsyncDisposable
{
    public IncomingStream Output { get; } = new(output);

    public IncomingStream Error { get; } = new(error);

    /// <summary>Bytes that came.</summary>
    public long Arrived => Output.Arrived + Error.Arrived;

    /// <summary>Nothing more of either will come.</summary>
    public bool HasEnded => Output.HasEnded && Error.HasEnded;

    /// <returns>False for a frame of something else.</returns>
    public bool TryTake(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Output:
                Output.Accept(frame.Payload);
                return true;
            case FrameKind.OutputEnd:
                Output.End();
                return true;
            case FrameKind.Error:
                Error.Accept(frame.Payload);
                return true;
            case FrameKind.ErrorEnd:
                Error.End();
                return true;
            default:
                return false;
        }
    }

    /// <summary>Nothing more comes. Idempotent.</summary>
    public void End()
    {
        Output.End();
        Error.End();
    }

    /// <summary>Who reads gets no more than this error.</summary>
    public void Break(IOException fault)
    {
        Output.Break(fault);
        Error.Break(fault);
    }

    public async ValueTask DisposeAsync()
    {
        await Output.DisposeAsync();
        await Error.DisposeAsync();
    }
}
