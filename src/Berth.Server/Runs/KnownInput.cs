using Berth.Api.Nodes;

namespace Berth.Server.Runs;

/// <summary>The input of a task that was handed in with so little that it is in memory: all of it is known.</summary>
/// <param name="content">Null for none.</param>
internal sealed class KnownInput(byte[]? content) : IInputAhead
{
    private readonly ReadOnlyMemory<byte> bytes = content;

    public InputBlock? Peek(int most) => new InputBlock(bytes[..Math.Min(bytes.Length, most)], bytes.Length <= most);
}
