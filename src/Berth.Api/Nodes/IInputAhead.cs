namespace Berth.Api.Nodes;

/// <summary>What has come of an attempt's input before its program runs. Whoever writes the input writes all of it to
/// <see cref="IAttempt.Input"/> all the same; a node of another machine sends this with the order, so that a program
/// with a short input does not wait for a second way there and back.</summary>
public interface IInputAhead
{
    /// <summary>The beginning of the input as far as it is here, at once; null where nothing is known of it.</summary>
    /// <param name="most">Bytes of it.</param>
    InputBlock? Peek(int most);
}

/// <param name="IsWhole">Nothing comes after it.</param>
public readonly record struct InputBlock(ReadOnlyMemory<byte> Bytes, bool IsWhole);
